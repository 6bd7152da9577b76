#include "control/offloads.hpp"

namespace vxplane::control {

std::string offloads_in_words(bool rx_checksum, const port::TsoAbility& tso) {
    std::string text = "checksums of received packets are verified by the ";
    text += rx_checksum ? "device once it is found to do so" : "workers";
    text += ", large TCP packets ";
    if (!tso.any()) {
        return text + "are cut by the workers, who make all checksums";
    }
    text += "leave whole and the device makes their checksums";
    if (!tso.tunnel4 && !tso.tunnel6) {
        return text + ", but those in tunnels are cut by the workers; these make all others";
    }
    text += tso.tunnel4 && tso.tunnel6 ? ", in tunnels, too"
            : tso.tunnel4              ? ", in tunnels over IPv4, too"
                                       : ", in tunnels over IPv6, too";
    return text + ", unless these have an outer UDP checksum; workers make all others";
}

}  // namespace vxplane::control
