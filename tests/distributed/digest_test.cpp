// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/distributed/digest.hpp"

#include "hone/gradient/aligned.hpp"
#include "hone/gradient/clip.hpp"
#include "hone/gradient/graddrop.hpp"
#include "hone/gradient/gradvac.hpp"
#include "hone/gradient/imtl.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/nash.hpp"
#include "hone/gradient/orthogonal.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"
#include "hone/gradient/upgrad.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <vector>

using namespace hone;
using namespace hone::gradient;

namespace {
template <class T>
double digest_of(const T& x) {
  return distributed::detail::digest().add(x).value();
}

auto keeping(int x) {
  return [x] { return x; };
}
}  // namespace

TEST_CASE("every field of every method counts, and so does its type") {
  gradvac_state<2> states[2];
  const std::vector<double> all = {digest_of(sago{}),
                                   digest_of(sago{.retain = 2}),
                                   digest_of(sago{.forget = 2}),
                                   digest_of(sago{.where_forget_is_zero = zero_forget::keep_retain}),
                                   digest_of(sago_prefer_retain{}),
                                   digest_of(gradient::sum{}),
                                   digest_of(gradient::sum{.forget = 2}),
                                   digest_of(sago_soft{}),
                                   digest_of(sago_soft{.sharpness = 9}),
                                   digest_of(sago_noise_aware{.threshold = 1}),
                                   digest_of(pcgrad{}),
                                   digest_of(pcgrad{.epsilon = 1e-10}),
                                   digest_of(a_gem{}),
                                   digest_of(blur{}),
                                   digest_of(mgda{}),
                                   digest_of(cagrad{}),
                                   digest_of(cagrad{.c = 0.4}),
                                   digest_of(imtl_g{}),
                                   digest_of(nash_mtl{}),
                                   digest_of(pcgrad_symmetric{}),
                                   digest_of(pcgrad_symmetric{.order = {.random = true}}),
                                   digest_of(pcgrad_symmetric{.order = {.seed = 1}}),
                                   digest_of(pcgrad_symmetric{.order = {.step = 1}}),
                                   digest_of(upgrad<2>{}),
                                   digest_of(upgrad<2>{.preference = {0.4, 0.6}}),
                                   digest_of(upgrad<2>{.preference = {0.6, 0.4}}),
                                   digest_of(upgrad<2>{.regularisation = 1e-4}),
                                   digest_of(upgrad<3>{}),
                                   digest_of(dual_projection<2>{}),
                                   digest_of(aligned_mtl<2>{}),
                                   digest_of(aligned_mtl<2>{.scale = aligned_scale::median}),
                                   digest_of(conflict_free<2>{}),
                                   digest_of(gem{}),
                                   digest_of(gem{.margin = 1}),
                                   digest_of(retain_orthogonal{}),
                                   digest_of(gradvac<2>{}),
                                   digest_of(gradvac<2>{.state = states}),
                                   digest_of(gradvac<2>{.state = states, .beta = 0.1}),
                                   digest_of(gradvac<2>{.state = states, .only_below = true}),
                                   digest_of(gradvac_one_sided{.target = 0.5}),
                                   digest_of(graddrop<2>{}),
                                   digest_of(graddrop<2>{.seed = 1}),
                                   digest_of(graddrop<2>{.step = 1}),
                                   digest_of(graddrop<2>{.leak = {0, 1}}),
                                   digest_of(graddrop<2>{.leak = {1, 0}}),
                                   digest_of(graddrop<2>{.first_element = 1}),
                                   digest_of(clipped<pcgrad>{}),
                                   digest_of(clipped<pcgrad>{.method = {}, .max_norm = 2}),
                                   digest_of(clipped<pcgrad>{.method = {.retain = 2}}),
                                   digest_of(clipped<mgda>{}),
                                   digest_of(scaled<pcgrad>{})};
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      INFO(i << " " << j);
      CHECK(all[i] != all[j]);
    }
  for (const double x : all) CHECK((x == std::floor(x) && x >= 0 && x < 0x1p53));
}

TEST_CASE("equal values have equal digests: states by size, zeros of either sign, NaNs, padding, what is hidden") {
  gradvac_state<2> a, b;
  b.target[0][1] = 0.5;
  CHECK(digest_of(gradvac<2>{.state = {&a, 1}}) == digest_of(gradvac<2>{.state = {&b, 1}}));
  CHECK(digest_of(pcgrad{.epsilon = 0.0}) == digest_of(pcgrad{.epsilon = -0.0}));
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(digest_of(pcgrad{.epsilon = nan}) == digest_of(pcgrad{.epsilon = nan}));
  alignas(sago) unsigned char dirty[sizeof(sago)];
  std::fill(std::begin(dirty), std::end(dirty), static_cast<unsigned char>(0xff));
  CHECK(digest_of(*new (dirty) sago{}) == digest_of(sago{}));
  CHECK(digest_of(keeping(1)) == digest_of(keeping(2)));
}

TEST_CASE("options count with their groups") {
  const std::vector<index_t> one = {0, 5, 10}, other = {0, 6, 10}, copy = one;
  CHECK(digest_of(combine_options{.groups = one}) == digest_of(combine_options{.groups = copy}));
  CHECK(digest_of(combine_options{.groups = one}) != digest_of(combine_options{.groups = other}));
  CHECK(digest_of(combine_options{.groups = one}) != digest_of(combine_options{}));
  CHECK(digest_of(combine_options{.geometry = true}) != digest_of(combine_options{}));
}

namespace {

/// FNV-1a of bytes, the upper 53 bits.
double reference(std::initializer_list<std::uint64_t> words) {
  std::uint64_t hash = 14695981039346656037u;
  for (const std::uint64_t word : words)
    for (int i = 0; i < 8; ++i) hash = (hash ^ (word >> (8 * i) & 0xff)) * 1099511628211u;
  return static_cast<double>(hash >> 11);
}

struct one {
  int a = 0;
};
struct two {
  int a = 0, b = 0;
};
struct three {
  int a = 0, b = 0, c = 0;
};
struct four {
  int a = 0, b = 0, c = 0, d = 0;
};
struct five {
  int a = 0, b = 0, c = 0, d = 0, e = 0;
};
struct six {
  int a = 0, b = 0, c = 0, d = 0, e = 0, g = 0;
};
struct seven {
  int a = 0, b = 0, c = 0, d = 0, e = 0, g = 0, h = 0;
};
struct eight {
  int a = 0, b = 0, c = 0, d = 0, e = 0, g = 0, h = 0, i = 0;
};

/// Each int of T counts, and its place does.
template <class T>
void check_fields() {
  std::vector<double> all = {digest_of(T{})};
  for (std::size_t i = 0; i < sizeof(T) / sizeof(int); ++i) {
    std::array<int, sizeof(T) / sizeof(int)> fields{};
    fields[i] = 1;
    all.push_back(digest_of(std::bit_cast<T>(fields)));
  }
  std::sort(all.begin(), all.end());
  CHECK(std::unique(all.begin(), all.end()) == all.end());
}

}  // namespace

TEST_CASE("digests are FNV-1a of values: numbers, enumerators, arrays, spans with their size") {
  CHECK(digest_of(0) == reference({0}));
  CHECK(digest_of(std::uint64_t{0x0123456789abcdef}) == reference({0x0123456789abcdef}));
  CHECK(digest_of(-2) == reference({0xfffffffffffffffe}));
  CHECK(digest_of(true) == reference({1}));
  CHECK(digest_of(zero_forget::keep_retain) == reference({static_cast<std::uint64_t>(zero_forget::keep_retain)}));
  CHECK(digest_of(1.5) == reference({0x3ff8000000000000}));
  CHECK(digest_of(1.5f) == reference({0x3ff8000000000000}));
  CHECK(digest_of(std::array{1, 2}) == reference({1, 2}));
  const std::vector<index_t> values = {7, 9, 8};
  CHECK(digest_of(std::span<const index_t>(values)) == reference({3, 7, 9, 8}));
  std::vector<index_t> state = {7, 9};
  CHECK(digest_of(std::span<index_t>(state)) == reference({2}));
}

TEST_CASE("each field of a struct counts, of one and of as many as are taken") {
  check_fields<one>();
  check_fields<two>();
  check_fields<three>();
  check_fields<four>();
  check_fields<five>();
  check_fields<six>();
  check_fields<seven>();
  check_fields<eight>();
  CHECK(digest_of(two{}) != digest_of(three{}));
  CHECK(digest_of(one{}) != digest_of(0));  // its type
}
