// The words of `system: log` as the logger has them: met at start and at reload.
#pragma once

#include <spdlog/spdlog.h>

#include "config/topology.hpp"

namespace vxplane::control {

inline void set_log_level(config::LogLevel level) {
    using config::LogLevel;
    switch (level) {
        case LogLevel::trace:
            return spdlog::set_level(spdlog::level::trace);
        case LogLevel::debug:
            return spdlog::set_level(spdlog::level::debug);
        case LogLevel::info:
            return spdlog::set_level(spdlog::level::info);
        case LogLevel::warning:
            return spdlog::set_level(spdlog::level::warn);
        case LogLevel::error:
            return spdlog::set_level(spdlog::level::err);
    }
}

}  // namespace vxplane::control
