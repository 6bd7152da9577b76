// Requests, notifications and batches as the JSON-RPC 2.0 specification has them.
#include "control/rpc/protocol.hpp"

#include <algorithm>

namespace vxplane::control::rpc {

namespace {

Json envelope(Json id) {
    return {{"jsonrpc", "2.0"}, {"id", std::move(id)}};
}

Json error_object(const Error& error) {
    Json object{{"code", static_cast<int>(error.code)}, {"message", error.message}};
    if (!error.data.is_null()) object["data"] = error.data;
    return object;
}

std::string error_line(Json id, const Error& error) {
    Json reply = envelope(std::move(id));
    reply["error"] = error_object(error);
    return to_text(reply);
}

bool good_id(const Json& id) {
    return id.is_string() || id.is_number() || id.is_null();
}

// Why a value is no request; nothing when it is one.
const char* why_invalid(const Json& request) {
    if (!request.is_object()) return "a request is an object";
    const auto version = request.find("jsonrpc");
    if (version == request.end() || *version != "2.0") return "jsonrpc must be \"2.0\"";
    const auto id = request.find("id");
    if (id != request.end() && !good_id(*id)) return "id must be a string, a number or null";
    const auto method = request.find("method");
    if (method == request.end() || !method->is_string()) return "method must be a string";
    const auto params = request.find("params");
    if (params != request.end() && !params->is_structured()) {
        return "params must be an object or an array";
    }
    return nullptr;
}

std::string answer_one(const MethodTable& methods, const Json& request, std::size_t max_reply,
                       ProtocolCounts& counts) {
    ++counts.requests;
    Json id;
    if (request.is_object() && request.contains("id") && good_id(request["id"])) id = request["id"];
    if (const char* why = why_invalid(request)) {
        ++counts.errors;
        return error_line(std::move(id), {Code::invalid_request, why});
    }
    const auto params = request.find("params");
    Reply reply = methods.call(request["method"].get_ref<const std::string&>(),
                               params == request.end() ? Json::object() : *params);
    if (!reply.ok()) ++counts.errors;
    if (!request.contains("id")) return {};
    if (!reply.ok()) return error_line(std::move(id), reply.error());
    Json whole = envelope(id);
    whole["result"] = std::move(reply.result());
    std::string text = to_text(whole);
    if (text.size() <= max_reply) return text;
    ++counts.errors;
    return error_line(std::move(id),
                      {Code::reply_too_large, "the reply of " + std::to_string(text.size()) +
                                                  " bytes is too large (at most " +
                                                  std::to_string(max_reply) + "): ask for less"});
}

std::string answer_batch(const MethodTable& methods, const Json& batch, std::size_t max_reply,
                         ProtocolCounts& counts) {
    const auto refused = [&](const char* why) {
        ++counts.requests;
        ++counts.errors;
        return error_text({Code::invalid_request, why, {{"max_batch", max_batch}}});
    };
    if (batch.empty()) return refused("the batch is empty");
    if (batch.size() > max_batch) return refused("the batch is too long");
    std::string text;
    for (const auto& request : batch) {
        const std::size_t left = max_reply - std::min(max_reply, text.size());
        const std::string one = answer_one(methods, request, left, counts);
        if (one.empty()) continue;
        text += text.empty() ? "[" : ",";
        text += one;
    }
    if (!text.empty()) text += "]";
    return text;
}

}  // namespace

std::string to_text(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string error_text(const Error& error) {
    return error_line(nullptr, error);
}

bool deeper_than(std::string_view text, std::size_t limit) noexcept {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') {
                ++i;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > limit) return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return false;
}

std::string answer(const MethodTable& methods, std::string_view text, std::size_t max_reply,
                   ProtocolCounts& counts) {
    const auto refused = [&](Error error) {
        ++counts.requests;
        ++counts.errors;
        return error_text(error);
    };
    if (deeper_than(text, max_depth)) {
        return refused({Code::invalid_request, "nested too deeply", {{"max_depth", max_depth}}});
    }
    Json value;
    try {
        value = Json::parse(text);
    } catch (const Json::exception& problem) {
        return refused(
            {Code::parse_error, "not JSON: " + std::string{problem.what()}.substr(0, 256)});
    }
    return value.is_array() ? answer_batch(methods, value, max_reply, counts)
                            : answer_one(methods, value, max_reply, counts);
}

}  // namespace vxplane::control::rpc
