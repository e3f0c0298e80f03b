// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every example does around its story: errors that end a program with one line, Ctrl-C that lets it finish its
/// files, and progress that is a bar on a terminal and plain lines elsewhere.
#pragma once
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

namespace program {

inline volatile std::sig_atomic_t interrupt_flag = 0;

/// Whether Ctrl-C was pressed. The first time is a request, a second one ends the program at once.
inline bool interrupted() { return interrupt_flag != 0; }

/// Runs @p story() and returns its exit status; an exception becomes one line on stderr and status 1.
template <class F>
int run(const char* name, F&& story) {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupt_flag = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  try {
    return story();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

/// Progress on stderr: `step(done, text)` redraws a bar at most ten times a second on a terminal, with the time left;
/// elsewhere it prints a line for every tenth of the way.
class progress {
 public:
  progress(std::string title, long steps) : title_(std::move(title)), steps_(steps) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() {
    if (drawn_) std::fputs("\r\033[K", stderr);
  }

  void step(long done, const std::string& text) {
    using namespace std::chrono;
    const auto now = steady_clock::now();
    if (!terminal_) {
      if (done * 10 / steps_ != (done - 1) * 10 / steps_ || done == steps_)
        std::fprintf(stderr, "%s %ld/%ld  %s\n", title_.c_str(), done, steps_, text.c_str());
      return;
    }
    if (drawn_ && done < steps_ && now - shown_ < milliseconds(100)) return;
    shown_ = now;
    const double left = duration<double>(now - start_).count() / static_cast<double>(done) * static_cast<double>(steps_ - done);
    char tail[64];
    std::snprintf(tail, sizeof tail, " %ld/%ld %.0f s left ", done, steps_, left);
    std::string line = title_ + " ";
    const std::size_t width = columns();
    const std::size_t fixed = line.size() + std::char_traits<char>::length(tail) + text.size() + 3;
    if (fixed + 5 <= width) {
      const std::size_t bar = (std::min)(width - fixed, std::size_t{30});
      const auto filled = static_cast<std::size_t>(static_cast<double>(bar) * static_cast<double>(done) / static_cast<double>(steps_));
      line += "[" + std::string(filled, '#') + std::string(bar - filled, '.') + "]";
    }
    line += tail + text;
    if (line.size() >= width) line.resize(width - 1);
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    drawn_ = true;
  }

 private:
  static std::size_t columns() {
    winsize size{};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
  }

  std::string title_;
  long steps_;
  bool terminal_ = isatty(STDERR_FILENO) != 0;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), shown_{};
};

}  // namespace program
