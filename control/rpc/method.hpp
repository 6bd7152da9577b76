// What the daemon can be asked: methods with their parameters, and the two shapes of a reply. The
// daemon fills one MethodTable; from it come validation, the `rpc.methods` reply and vxctl's help.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vxplane::control::rpc {

using Json = nlohmann::json;

/// Error codes: the ones below -32600 are those of the JSON-RPC 2.0 specification, section 5.1;
/// those from -32000 on are ours.
enum class Code : int {
    parse_error = -32700,
    invalid_request = -32600,
    unknown_method = -32601,
    invalid_params = -32602,
    internal = -32603,
    refused = -32000,  ///< the daemon understood and will not: no such object, table full, ...
    reply_too_large = -32001,  ///< ask for less
    too_many_clients = -32002,
};

/// The error member of a reply. `data` is left out when null.
struct Error {
    Code code = Code::refused;
    std::string message;
    Json data = nullptr;
};

/// What a method answers: a result or an error.
class Reply {
  public:
    Reply(Json result) : result_(std::move(result)) {}  // NOLINT: meant to convert
    Reply(Error error) : error_(std::move(error)) {}    // NOLINT: meant to convert
    [[nodiscard]] bool ok() const noexcept { return !error_; }
    [[nodiscard]] const Json& result() const noexcept { return result_; }
    [[nodiscard]] Json& result() noexcept { return result_; }
    /// Only when not `ok`.
    [[nodiscard]] const Error& error() const noexcept { return *error_; }

  private:
    Json result_;
    std::optional<Error> error_;
};

/// `return refuse("no segment 'x'")`, with code -32000.
[[nodiscard]] inline Error refuse(std::string message, Json data = nullptr) {
    return {Code::refused, std::move(message), std::move(data)};
}
/// `return invalid("mac: not a MAC address")`, with code -32602: for what the schema cannot say.
[[nodiscard]] inline Error invalid(std::string message, Json data = nullptr) {
    return {Code::invalid_params, std::move(message), std::move(data)};
}

enum class Type : std::uint8_t { string, integer, boolean, array, object };
[[nodiscard]] std::string_view type_name(Type type) noexcept;

/// One parameter. Parameters given by position are taken in the order of the schema.
struct Param {
    std::string name{};
    Type type = Type::string;
    bool required = false;
    std::string help{};
    std::vector<std::string> allowed{};  ///< for strings, and for strings in an array; empty: any
    std::int64_t least = std::numeric_limits<std::int64_t>::min();  ///< for integers
    std::int64_t most = std::numeric_limits<std::int64_t>::max();   ///< for integers
};

struct Method {
    std::string name{};
    std::string help{};
    std::vector<Param> params{};
    bool writes = false;  ///< changes something; said in `rpc.methods`
    /// Gets an object that has passed the schema (never null; missing optional keys are absent).
    /// Runs on the loop's thread and must not block. An exception becomes error -32603.
    std::function<Reply(const Json& params)> call{};
};

class MethodTable {
  public:
    /// Throws std::logic_error for a name that is already there, or a method without a call.
    void add(Method method);
    [[nodiscard]] const Method* find(std::string_view name) const;
    /// Everything, for help: [{"name","help","writes","params":[{"name","type","required","help",
    /// "enum"?}]}], by name.
    [[nodiscard]] Json describe() const;
    /// Called when a method that writes has done its work, before anybody is answered: who is told
    /// that something is done may rely on it.
    void after_writes(std::function<void()> settle) { settle_ = std::move(settle); }
    /// Finds, validates and calls.
    [[nodiscard]] Reply call(std::string_view name, const Json& params) const;
    [[nodiscard]] std::size_t size() const noexcept { return methods_.size(); }

  private:
    std::map<std::string, Method, std::less<>> methods_;
    std::function<void()> settle_;
};

/// Turns positional parameters into named ones and checks them against the schema. A result is the
/// object for `Method::call`; an error names the key and what is allowed.
[[nodiscard]] Reply check_params(const Method& method, const Json& params);

/// The known name nearest to `word`, or nothing when none is near enough to be meant.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view word,
                                                      const std::vector<std::string>& known);

}  // namespace vxplane::control::rpc
