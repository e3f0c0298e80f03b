// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An engine that has routing/sink.hpp and nothing else of hone: C++17, any flags. Prints the logit's bits.
#include "sink.hpp"

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <new>

static long allocations = 0;
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace hone::routing;

namespace {

constexpr int layers = 3, width = 77, tokens = 9;
float v[layers * width];
float states[layers * tokens * width];

}  // namespace

int main(int count, char**) {
  for (int i = 0; i < layers * width; ++i) v[i] = static_cast<float>((i * 7919) % 2003 - 1001) * 0x1p-10f;
  for (int i = 0; i < layers * tokens * width; ++i)
    states[i] = static_cast<float>((i * 104729) % 4001 - 2000) * 0x1.8p-9f;
  layer_sum sums[layers];
  state_sink sink({v, layers, width, 0.5, 0.5, 1, 0, layers}, sums);
  for (int l = 0; l < layers; ++l) sink.add(l, {states + l * tokens * width, tokens, width, width, number::float32});
  const double logit = sink.logit();
  if (sink.why() != fault::none) return 1;
  // NaN and infinity by bits, which no flag hides.
  for (const std::uint32_t bits : {0x7fc00000u, 0x7f800000u, 0xff800000u}) {
    sink.reset();
    for (int l = 0; l < layers; ++l) {
      if (l == count) std::memcpy(states + l * tokens * width + width + 5, &bits, sizeof bits);
      sink.add(l, {states + l * tokens * width, tokens, width, width, number::float32});
    }
    if (sink.why() != fault::not_finite || sink.decide() != decision::large_by_fault) return 2;
  }
  const float weight = 1;
  layer_sum sum;
  state_sink one({&weight, 1, 1, 0, 0.5, 1, 0, 1}, &sum);
  for (int bits = 0; bits < 65536; ++bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    const auto half = static_cast<std::uint16_t>(bits);
    one.reset();
    one.add(0, {&half, 1, 1, 1, number::float16});
    if (exponent == 31 ? one.why() != fault::not_finite : one.logit() != (bits < 32768 ? magnitude : -magnitude))
      return 4;
  }
  if (allocations != 0) return 3;
  std::printf("%a\n", logit);
  return 0;
}
