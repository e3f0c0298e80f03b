// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every example does around its story: errors that end a program with one line, Ctrl-C that lets it finish its
/// files, and progress that is a bar on a terminal and plain lines elsewhere.
#pragma once
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>

namespace program {

inline volatile std::sig_atomic_t interrupt_flag = 0;

/// Whether Ctrl-C was pressed. The first time is a request, a second one ends the program at once.
inline bool interrupted() { return interrupt_flag != 0; }

template <class... Args>
std::string text(const char* format, Args... args) {
  char buffer[256];
  std::snprintf(buffer, sizeof buffer, format, args...);
  return buffer;
}

/// @throws std::runtime_error with the text unless @p ok.
template <class... Args>
void require(bool ok, const char* format, Args... args) {
  if (!ok) throw std::runtime_error(text(format, args...));
}

/// What @p error says, without the C++ name that the library begins with.
inline std::string reason_of(const std::exception& error) {
  if (const auto* of_file = dynamic_cast<const std::filesystem::filesystem_error*>(&error))
    return of_file->path1().string() + ": " + of_file->code().message();
  const std::string text = error.what();
  const std::size_t end = text.find(": ");
  return text.starts_with("hone::") && end != std::string::npos ? text.substr(end + 2) : text;
}

/// @p text with its control characters escaped: a line break in a cell or a name ends no line.
inline std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f)
      line += c;
    else
      line += c == '\n' ? "\\n" : program::text("\\x%02x", static_cast<unsigned>(c));
  }
  return line;
}

/// Runs @p story() and returns its exit status; an exception, or output that stdout did not take, becomes one line on
/// stderr and status 1.
template <class F>
int run(const char* name, F&& story) {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupt_flag = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  try {
    const int status = story();
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      throw std::runtime_error("standard output does not take what is written to it");
    return status;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "%s: not enough memory\n", name);
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, one_line(reason_of(error)).c_str());
    return 1;
  }
}

/// Columns of the terminal that stderr is; 80 of none.
inline std::size_t columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// Progress on stderr: `step(done, text)` redraws a bar at most ten times a second on a terminal, with the time left;
/// elsewhere it prints a line for every tenth of the way and for where the way ends.
class progress {
 public:
  progress(std::string title, long steps) : title_(std::move(title)), steps_(steps) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() {
    if (terminal_ && !line_.empty()) std::fputs("\r\033[K", stderr);
    if (!terminal_) print_line();
  }

  /// Whether it is a bar.
  [[nodiscard]] bool draws() const { return terminal_; }
  /// Takes the bar away, before something else is printed; the next step draws it again.
  void clear() {
    if (!terminal_ || line_.empty()) return;
    std::fputs("\r\033[K", stderr);
    line_.clear();
  }

  void step(long done, const std::string& text) {
    if (terminal_) return draw(done, text);
    line_ = title_ + " " + std::to_string(done) + "/" + std::to_string(steps_) + "  " + text;
    if (done * 10 / steps_ != (done - 1) * 10 / steps_) print_line();
  }

 private:
  void print_line() {
    if (!line_.empty()) std::fprintf(stderr, "%s\n", line_.c_str());
    line_.clear();
  }

  void draw(long done, const std::string& text) {
    using namespace std::chrono;
    const auto now = steady_clock::now();
    if (!line_.empty() && done < steps_ && now - shown_ < milliseconds(100)) return;
    shown_ = now;
    const double way = static_cast<double>(done) / static_cast<double>(steps_);
    const double left = duration<double>(now - start_).count() * (1 / way - 1);
    const std::string tail = program::text(" %ld/%ld %.0f s left  ", done, steps_, left) + text;
    line_ = title_ + " ";
    const std::size_t width = columns(), fixed = line_.size() + tail.size() + 3;
    if (fixed + 5 <= width) {
      const std::size_t bar = (std::min)(width - fixed, std::size_t{30});
      const auto filled = static_cast<std::size_t>(static_cast<double>(bar) * way);
      line_ += "[" + std::string(filled, '#') + std::string(bar - filled, '.') + "]";
    }
    line_ += tail;
    if (line_.size() >= width) line_.resize(width - 1);
    std::fprintf(stderr, "\r\033[K%s", line_.c_str());
  }

  std::string title_;
  long steps_;
  bool terminal_ = isatty(STDERR_FILENO) != 0;
  std::string line_;  ///< what was drawn, or is still to be printed
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), shown_{};
};

}  // namespace program
