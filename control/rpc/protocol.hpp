// JSON-RPC 2.0 itself: one text in, one text out. Knows nothing of sockets; the server feeds it
// lines and unit tests feed it strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "control/rpc/method.hpp"

namespace vxplane::control::rpc {

/// Deeper nesting is refused before parsing: values are freed and printed by recursion.
inline constexpr std::size_t max_depth = 64;
/// Requests in one batch. More would let one line occupy the loop.
inline constexpr std::size_t max_batch = 64;

struct ProtocolCounts {
    std::uint64_t requests = 0;
    std::uint64_t errors = 0;
};

/// Answers one request or batch. Empty when there is nothing to answer (notifications). The answer
/// has no newline; bytes that are not UTF-8 are replaced. One longer than `max_reply` becomes an
/// error.
[[nodiscard]] std::string answer(const MethodTable& methods, std::string_view text,
                                 std::size_t max_reply, ProtocolCounts& counts);

/// `{"jsonrpc":"2.0","id":null,"error":{...}}` as text, for what no request can be blamed for.
[[nodiscard]] std::string error_text(const Error& error);

/// Compact text of a value; never throws on bad UTF-8.
[[nodiscard]] std::string to_text(const Json& value);

/// Whether brackets outside strings nest deeper than `limit`.
[[nodiscard]] bool deeper_than(std::string_view text, std::size_t limit) noexcept;

}  // namespace vxplane::control::rpc
