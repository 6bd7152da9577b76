// A value or the reason why there is none. Everything that opens or starts something in this folder
// answers with one; control turns the text into a message for the operator.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace vxplane::port {

/// Why something was not done: one sentence or a few, for the operator, without a final newline.
struct Failure {
    std::string text;
    /// The key of the topology that asks for what cannot be had, such as `rx-queues`; or nothing.
    std::string key{};
};

/// Either a `T` or a `Failure`. Reading the side that is not there is a programming error and ends
/// the process.
template <class T>
class [[nodiscard]] Expected {
  public:
    Expected(T value) noexcept : state_{std::in_place_index<0>, std::move(value)} {}
    Expected(Failure failure) noexcept : state_{std::in_place_index<1>, std::move(failure)} {}

    [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return ok(); }

    [[nodiscard]] T& operator*() & noexcept { return std::get<0>(state_); }
    [[nodiscard]] const T& operator*() const& noexcept { return std::get<0>(state_); }
    [[nodiscard]] T&& operator*() && noexcept { return std::get<0>(std::move(state_)); }
    [[nodiscard]] T* operator->() noexcept { return &std::get<0>(state_); }
    [[nodiscard]] const T* operator->() const noexcept { return &std::get<0>(state_); }

    [[nodiscard]] const Failure& failure() const noexcept { return std::get<1>(state_); }

  private:
    std::variant<T, Failure> state_;
};

/// The value of something that only succeeds or fails.
struct Done {};
using Outcome = Expected<Done>;

}  // namespace vxplane::port
