// The rules by which queues are shared out.
#include "dataplane/worker/plan.hpp"

#include <algorithm>
#include <tuple>

namespace vxplane::worker {

QueuePlan::QueuePlan(std::vector<int> nodes) : nodes_(std::move(nodes)), load_(nodes_.size()) {}

std::vector<unsigned> QueuePlan::place(int node, unsigned queues,
                                       const std::vector<unsigned>& only) {
    std::vector<unsigned> workers;
    if (!only.empty()) {
        for (unsigned queue = 0; queue < queues; ++queue) {
            workers.push_back(only[queue % only.size()]);
            ++load_[workers.back()];
        }
        return workers;
    }
    std::vector<unsigned> of_port(nodes_.size());
    for (unsigned queue = 0; queue < queues; ++queue) {
        unsigned best = 0;
        const auto cost = [&](unsigned worker) {
            const bool foreign = node >= 0 && nodes_[worker] != node;
            return std::tuple(of_port[worker], foreign, load_[worker]);
        };
        for (unsigned worker = 1; worker < nodes_.size(); ++worker) {
            if (cost(worker) < cost(best)) {
                best = worker;
            }
        }
        workers.push_back(best);
        ++of_port[best];
        ++load_[best];
    }
    return workers;
}

std::vector<TxPlace> place_tx(unsigned workers, unsigned queues,
                              const std::vector<unsigned>& pollers) {
    std::vector<TxPlace> places(workers);
    if (queues >= workers) {
        for (unsigned worker = 0; worker < workers; ++worker) {
            places[worker] = {static_cast<std::uint16_t>(worker), worker};
        }
        return places;
    }
    std::vector<unsigned> order;
    const auto add = [&order](unsigned worker) {
        if (std::find(order.begin(), order.end(), worker) == order.end()) {
            order.push_back(worker);
        }
    };
    std::for_each(pollers.begin(), pollers.end(), add);
    for (unsigned worker = 0; worker < workers; ++worker) {
        add(worker);
    }
    for (unsigned i = 0; i < workers; ++i) {
        places[order[i]] = {static_cast<std::uint16_t>(i % queues), order[i % queues]};
    }
    return places;
}

}  // namespace vxplane::worker
