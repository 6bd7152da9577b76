// The choices made before DPDK starts, on made-up machines, and the start itself.
#include <rte_lcore.h>
#include <rte_log.h>

#include <sched.h>

#include <cstring>
#include <fstream>

#include "dataplane/port/hugepages.hpp"
#include "lab.hpp"

namespace vxplane::port::test {
namespace {

namespace fs = std::filesystem;

/// A machine whose /sys says what the test wants.
class EalPlan : public ::testing::Test {
  protected:
    void SetUp() override {
        // EAL has bound this thread to one CPU; the plan is made for a thread that is not.
        ::sched_getaffinity(0, sizeof bound_, &bound_);
        cpu_set_t all;
        std::memset(&all, 0xFF, sizeof all);
        ::sched_setaffinity(0, sizeof all, &all);
        cpu_ = usable_cpus().front();
        std::string pattern = (fs::temp_directory_path() / "eal-test-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root_ = pattern;
        options_.system_root = pattern;
        options_.control_cpu = cpu_;
        options_.worker_cpus = {cpu_};
        options_.memory_bytes = 512ULL << 20;
    }
    void TearDown() override {
        ::sched_setaffinity(0, sizeof bound_, &bound_);
        fs::remove_all(root_);
    }

    void node(int number, unsigned free_2m) const {
        const fs::path folder = root_ / "sys/devices/system/node" /
                                ("node" + std::to_string(number)) / "hugepages/hugepages-2048kB";
        fs::create_directories(folder);
        std::ofstream{folder / "free_hugepages"} << free_2m << '\n';
    }
    void cpu_on_node(unsigned cpu, int number) const {
        fs::create_directories(root_ / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu)) /
                               ("node" + std::to_string(number)));
    }

    cpu_set_t bound_{};
    unsigned cpu_ = 0;
    fs::path root_;
    EalOptions options_;
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST_F(EalPlan, automatic_uses_hugepages_when_enough_are_free) {
    node(0, 256);
    const auto plan = plan_eal(options_);
    ASSERT_TRUE(plan.ok()) << plan.failure().text;
    EXPECT_TRUE(plan->hugepages);
    EXPECT_EQ(plan->page_bytes, 2ULL << 20);
    EXPECT_TRUE(contains(plan->text, "--in-memory -m 512"));
    EXPECT_FALSE(contains(plan->text, "--no-huge"));
    EXPECT_TRUE(plan->notes.empty());
}

TEST_F(EalPlan, automatic_works_without_hugepages_and_says_so) {
    node(0, 255);
    const auto plan = plan_eal(options_);
    ASSERT_TRUE(plan.ok()) << plan.failure().text;
    EXPECT_FALSE(plan->hugepages);
    EXPECT_TRUE(contains(plan->text, "--no-huge --no-shconf -m 512"));
    EXPECT_FALSE(contains(plan->text, "--in-memory"));
    ASSERT_EQ(plan->notes.size(), 1U);
    EXPECT_TRUE(contains(plan->notes[0], "510 MB in free hugepages and 512 MB are needed"));
}

TEST_F(EalPlan, require_fails_with_the_pages_and_the_command) {
    node(0, 10);
    options_.hugepages = EalOptions::Hugepages::require;
    const auto plan = plan_eal(options_);
    ASSERT_FALSE(plan.ok());
    EXPECT_TRUE(contains(plan.failure().text, "hugepages are required"));
    EXPECT_TRUE(contains(plan.failure().text, "256 free pages of 2 MB"));
    EXPECT_TRUE(contains(plan.failure().text, "sysctl -w vm.nr_hugepages=256"));
}

TEST_F(EalPlan, require_fails_where_the_kernel_has_none) {
    options_.hugepages = EalOptions::Hugepages::require;
    const auto plan = plan_eal(options_);
    ASSERT_FALSE(plan.ok());
    EXPECT_TRUE(contains(plan.failure().text, "offers no hugepages"));
}

TEST_F(EalPlan, off_takes_none_even_if_there_are_plenty) {
    node(0, 4096);
    options_.hugepages = EalOptions::Hugepages::off;
    const auto plan = plan_eal(options_);
    ASSERT_TRUE(plan.ok());
    EXPECT_FALSE(plan->hugepages);
    EXPECT_TRUE(plan->notes.empty());
}

TEST_F(EalPlan, each_node_with_a_worker_gets_its_share) {
    const std::vector<unsigned> cpus = usable_cpus();
    if (cpus.size() < 2) GTEST_SKIP() << "needs two CPUs";
    options_.worker_cpus = {cpus[0], cpus[1]};
    cpu_on_node(cpus[0], 0);
    cpu_on_node(cpus[1], 1);
    node(0, 512);
    node(1, 127);
    options_.hugepages = EalOptions::Hugepages::require;
    const auto refused = plan_eal(options_);
    ASSERT_FALSE(refused.ok());
    EXPECT_TRUE(contains(refused.failure().text, "NUMA node 1 has 254 MB"));
    node(1, 128);
    const auto plan = plan_eal(options_);
    ASSERT_TRUE(plan.ok()) << plan.failure().text;
    EXPECT_TRUE(contains(plan->text, "--socket-mem 256,256"));
}

TEST_F(EalPlan, lcore_0_is_control_and_workers_may_share_a_cpu) {
    options_.worker_cpus = {cpu_, cpu_};
    const auto plan = plan_eal(options_);
    ASSERT_TRUE(plan.ok());
    const std::string c = std::to_string(cpu_);
    EXPECT_TRUE(contains(plan->text, "--lcores 0@" + c + ",1@" + c + ",2@" + c));
}

TEST_F(EalPlan, refuses_a_cpu_that_is_not_there_and_names_the_usable_ones) {
    options_.worker_cpus = {cpu_, 1000};
    const auto plan = plan_eal(options_);
    ASSERT_FALSE(plan.ok());
    EXPECT_TRUE(contains(plan.failure().text, "CPU 1000 for worker 1"));
    EXPECT_TRUE(contains(plan.failure().text, "accepted: " + std::to_string(cpu_)));
}

TEST_F(EalPlan, looks_at_pci_only_when_a_port_wants_it) {
    const auto without = plan_eal(options_);
    ASSERT_TRUE(without.ok());
    EXPECT_TRUE(contains(without->text, "--no-pci --iova-mode=va"));
    options_.pci = true;
    const auto with = plan_eal(options_);
    ASSERT_TRUE(with.ok());
    EXPECT_FALSE(contains(with->text, "--no-pci"));
    EXPECT_TRUE(contains(with->text, "-a 0000:00:00.0"));
    options_.extra = {"--allow=0000:3b:00.0"};
    const auto raw = plan_eal(options_);
    ASSERT_TRUE(raw.ok());
    EXPECT_FALSE(contains(raw->text, "-a 0000:00:00.0"));
    EXPECT_EQ(raw->arguments.back(), "--allow=0000:3b:00.0");
}

TEST(Eal, runs_with_the_planned_lcores_and_logs_through_the_hook) {
    EXPECT_FALSE(eal().hugepages);
    EXPECT_EQ(eal().page_bytes, 4096U);
    EXPECT_EQ(rte_lcore_count(), 3U);
    EXPECT_EQ(rte_get_main_lcore(), 0U);
    const std::size_t before = logged_lines();
    rte_log(RTE_LOG_ERR, RTE_LOGTYPE_USER1, "half a line, ");
    EXPECT_EQ(logged_lines(), before);
    rte_log(RTE_LOG_ERR, RTE_LOGTYPE_USER1, "and its end\n");
    EXPECT_EQ(logged_lines(), before + 1);
}

TEST(Eal, refuses_a_second_start) {
    const auto again = start_eal({});
    ASSERT_FALSE(again.ok());
    EXPECT_TRUE(contains(again.failure().text, "running already"));
}

}  // namespace
}  // namespace vxplane::port::test
