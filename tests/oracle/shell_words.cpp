// Reading of shell lines.
#include "shell_words.hpp"

#include "words.hpp"

namespace vxplane::oracle {
namespace {

class Reader {
  public:
    explicit Reader(const std::string& text) : text_{text} {}

    std::vector<ShellCommand> read() {
        while (at_ < text_.size()) {
            const char c = text_[at_++];
            if (c == '\'' || c == '"') {
                quoted(c);
            } else if (c == ';' || c == '\n' || c == '|') {
                end_command(c == '|' && !skip('|'));
            } else if (c == '&' && skip('&')) {
                end_command(false);
            } else if (c == '>') {
                end_word();
                next_is_target_ = true;
            } else if (c == ' ' || c == '\t') {
                end_word();
            } else {
                word_ += c;
                in_word_ = true;
            }
        }
        end_command(false);
        return all_;
    }

  private:
    bool skip(char c) {
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    void quoted(char quote) {
        const std::size_t end = text_.find(quote, at_);
        if (end == std::string::npos) throw Unsupported{"quote without its end"};
        word_ += text_.substr(at_, end - at_);
        at_ = end + 1;
        in_word_ = true;
    }
    void end_word() {
        if (!in_word_) return;
        if (next_is_target_)
            command_.into = word_;
        else
            command_.words.push_back(word_);
        word_.clear();
        in_word_ = next_is_target_ = false;
    }
    void end_command(bool feeds_next) {
        end_word();
        command_.feeds_next = feeds_next;
        if (!command_.words.empty()) all_.push_back(command_);
        command_ = {};
    }

    const std::string& text_;
    std::size_t at_ = 0;
    std::string word_{};
    bool in_word_ = false;
    bool next_is_target_ = false;
    ShellCommand command_{};
    std::vector<ShellCommand> all_{};
};

}  // namespace

std::vector<ShellCommand> shell_commands(const std::string& text) {
    return Reader{text}.read();
}

std::string printed(const std::string& format) {
    std::string text;
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] == '%') throw Unsupported{"printf with arguments"};
        if (format[i] == '\\' && i + 1 < format.size() && format[i + 1] == 'n') {
            text += '\n';
            ++i;
        } else {
            text += format[i];
        }
    }
    return text;
}

}  // namespace vxplane::oracle
