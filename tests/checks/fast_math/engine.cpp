// An engine of loops that -Ofast makes vectors of, with a loss of its own beside hone's: whether they agree, whether
// the process flushes denormals, and with the argument "time" how long both take on 64 rows of 32,000 logits.
#include "unit.hpp"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <vector>

namespace {

double own_loss_and_gradient(float* logits, std::ptrdiff_t rows, std::ptrdiff_t vocabulary,
                             const std::int32_t* targets) {
  double total = 0;
  for (std::ptrdiff_t row = 0; row < rows; ++row) {
    float* z = logits + row * vocabulary;
    float largest = z[0], sum = 0;
    for (std::ptrdiff_t v = 1; v < vocabulary; ++v) largest = z[v] > largest ? z[v] : largest;
    const float target = z[targets[row]];
    for (std::ptrdiff_t v = 0; v < vocabulary; ++v) sum += z[v] = std::exp(z[v] - largest);
    for (std::ptrdiff_t v = 0; v < vocabulary; ++v) z[v] /= sum;
    z[targets[row]] -= 1;
    total += static_cast<double>(std::log(sum) + largest - target);
  }
  return total;
}

template <class F>
double fastest(F&& f, std::vector<float>& memory, const std::vector<float>& logits) {
  double best = 1e9;
  for (int i = 0; i < 20; ++i) {
    memory = logits;
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::fmin(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

int main(int count, char**) {
  const std::ptrdiff_t rows = 64, vocabulary = 32000;
  std::vector<float> logits(64 * 32000);
  std::vector<std::int32_t> targets(64, 5);
  unsigned state = 1;
  for (float& x : logits) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(state >> 8) / 16777216.0f * 8 - 4;
  }
  std::vector<float> ours = logits, own = logits;
  const double loss = loss_and_gradient(ours.data(), rows, vocabulary, targets.data());
  const double own_loss = own_loss_and_gradient(own.data(), rows, vocabulary, targets.data());
  float furthest = 0;
  for (std::size_t i = 0; i < own.size(); ++i) furthest = std::fmax(furthest, std::fabs(own[i] - ours[i]));
  volatile float smallest = 0x1p-149f;
  const float kept = smallest * 1.0f;
  std::printf("loss %.6f, the engine's own %.6f; gradients differ by at most %.1e; denormals %s\n", loss, own_loss,
              static_cast<double>(furthest), kept > 0 ? "kept" : "flushed");
  if (count > 1) {
    const double hone_time =
        fastest([&] { loss_and_gradient(ours.data(), rows, vocabulary, targets.data()); }, ours, logits);
    const double own_time =
        fastest([&] { own_loss_and_gradient(own.data(), rows, vocabulary, targets.data()); }, own, logits);
    std::printf("hone %.2f ms, the engine's own %.2f ms, ratio %.1f\n", hone_time * 1e3, own_time * 1e3,
                own_time / hone_time);
  }
  return !(std::fabs(loss - own_loss) < 1e-4 * loss && furthest < 1e-4f);
}
