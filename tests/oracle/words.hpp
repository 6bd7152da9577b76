// The words of one command of ip(8) or bridge(8), taken from the front.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace vxplane::oracle {

/// Thrown with the name of what vxplane does not have, or the replay does not know.
struct Unsupported {
    std::string what;
};

class Words {
  public:
    explicit Words(std::vector<std::string> all) : all_{std::move(all)} {}
    [[nodiscard]] bool empty() const { return at_ == all_.size(); }
    std::string next() {
        if (empty()) throw Unsupported{"command without its end"};
        return all_[at_++];
    }
    /// Anywhere among those that are left.
    [[nodiscard]] bool has(const std::string& word) const {
        return std::find(all_.begin() + static_cast<std::ptrdiff_t>(at_), all_.end(), word) !=
               all_.end();
    }
    /// Skips one word that must be `word`.
    bool skip(const std::string& word) {
        if (empty() || all_[at_] != word) return false;
        ++at_;
        return true;
    }

  private:
    std::vector<std::string> all_;
    std::size_t at_ = 0;
};

inline unsigned long number(const std::string& text, int base = 0) {
    std::size_t used = 0;
    const unsigned long value = std::stoul(text, &used, base);
    if (used != text.size()) throw Unsupported{"number " + text};
    return value;
}

}  // namespace vxplane::oracle
