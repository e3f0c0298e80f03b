// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/diffusion/masking.hpp"

#include "support/catch.hpp"

#include <array>
#include <map>

using namespace hone;
using namespace hone::diffusion;

TEST_CASE("times in strata and with one offset") {
  const double u[] = {.31, .77, .05, .62}, stratified[] = {.0775, .4425, .5125, .905}, shared[] = {.31, .56, .81, .06};
  for (index_t j = 0; j < 4; ++j) {
    const auto i = static_cast<std::size_t>(j);
    CHECK(time_of(times::stratified, u[i], j, 4) == Approx(stratified[i]).epsilon(1e-14));
    CHECK(time_of(times::shared_offset, .31, j, 4) == Approx(shared[i]).epsilon(1e-14));
    CHECK(time_of(times::independent, u[i], j, 4) == u[i]);
    CHECK((1 - 1e-3) * stratified[i] + 1e-3 == Approx(std::array{.0784225, .4430575, .5129875, .905095}[i]));
  }
  const double largest = std::nextafter(1.0, 0);  // what would be 1 is 0
  CHECK(time_of(times::shared_offset, .25, 3, 4) == 0);
  CHECK(time_of(times::shared_offset, .5, 1, 2) == 0);
  CHECK(time_of(times::stratified, largest, 3, 4) == 0);
  CHECK(time_of(times::independent, largest, 3, 4) == largest);
}

TEST_CASE("a time is a function of its sequence, in strata, whatever the part; between least and 1") {
  for (const times how : {times::independent, times::stratified, times::shared_offset}) {
    std::vector<double> whole(40), part(13);
    draw_times(how, whole, {5, 3}, 0.125);
    draw_times(how, part, {5, 3, 20}, 0.125, 40);
    for (std::size_t i = 0; i < part.size(); ++i) CHECK(part[i] == whole[20 + i]);
    std::vector<int> strata(40);
    for (const double t : whole) {
      CHECK((t >= 0.125 && t < 1));
      ++strata[static_cast<std::size_t>((t - 0.125) / 0.875 * 40 + 1e-9)];
    }
    if (how != times::independent) CHECK(strata == std::vector<int>(40, 1));
    std::vector<double> later(40);
    draw_times(how, later, {5, 4}, 0.125);
    CHECK(later != whole);
  }
  std::vector<double> out(3);
  CHECK_THROWS_WITH(draw_times(times::independent, out, {}, 1), Catch::Contains("least: must be in [0, 1), is 1"));
  CHECK_THROWS_WITH(draw_times(times::independent, out, {}, -0.1), Catch::Contains("least"));
  CHECK_THROWS_WITH(draw_times(times::stratified, out, {0, 0, 2}), Catch::Contains("batch: must say of how many"));
  CHECK_NOTHROW(draw_times(times::independent, out, {0, 0, 2}));
  CHECK_THROWS_WITH(draw_times(times::stratified, out, {0, 0, 2}, 0, 4), Catch::Contains("the part ends with 5"));
}

TEST_CASE("each token that may be is masked with its sequence's probability, wherever the sequence is") {
  const std::vector<std::int32_t> tokens(3000, 7);
  const std::vector<index_t> offsets = {0, 1000, 1000, 3000};
  std::vector<std::uint8_t> may(3000, 1);
  for (std::size_t i = 0; i < 3000; i += 4) may[i] = 0;
  const std::vector<double> p = {0.25, 1, 0.8};
  std::vector<std::int32_t> noised(3000);
  std::vector<index_t> counts(3);
  const mask_options options{.mask_token = 9, .may = may, .address = {1, 2, 10}};
  mask_at(tokens, offsets, p, options, noised, counts);
  index_t found[3] = {0, 0, 0};
  for (std::size_t i = 0; i < 3000; ++i) {
    CHECK((noised[i] == 7 || (noised[i] == 9 && may[i])));
    found[i < 1000 ? 0 : 2] += noised[i] == 9;
  }
  for (std::size_t s = 0; s < 3; ++s) CHECK(counts[s] == found[s]);
  CHECK(std::abs(static_cast<double>(counts[0]) - 187.5) < 4 * std::sqrt(750 * .25 * .75));
  CHECK(std::abs(static_cast<double>(counts[2]) - 1200) < 4 * std::sqrt(1500 * .8 * .2));
  // The last sequence alone, with its number.
  std::vector<std::int32_t> alone(2000);
  std::vector<index_t> count(1);
  mask_at(std::span(tokens).subspan(1000), std::vector<index_t>{0, 2000}, std::vector<double>{0.8},
          {.mask_token = 9, .may = std::span(may).subspan(1000), .address = {1, 2, 12}}, alone, count);
  CHECK(std::equal(alone.begin(), alone.end(), noised.begin() + 1000));
  // In place, certain and impossible; and one at least where none would be.
  std::vector<std::int32_t> own = tokens;
  mask_at(own, offsets, std::vector<double>{1, 1, 0}, {.mask_token = 9, .address = {1, 2}}, own, counts);
  CHECK((counts[0] == 1000 && counts[1] == 0 && counts[2] == 0));
  mask_at(tokens, offsets, std::vector<double>{0, 0, 0}, {.mask_token = 9, .may = may, .at_least_one = true}, noised,
          counts);
  CHECK((counts[0] == 1 && counts[1] == 0 && counts[2] == 1));
  std::vector<int> places(3);
  for (std::uint32_t step = 0; step < 3000; ++step) {
    mask_at(std::vector<std::int32_t>{1, 2, 3, 4}, std::vector<index_t>{0, 4}, std::vector<double>{0},
            {.mask_token = 9, .may = std::vector<std::uint8_t>{1, 0, 1, 1}, .at_least_one = true, .address = {3, step}},
            std::span(noised).first(4), count);
    for (std::size_t i = 0; i < 4; ++i)
      if (noised[i] == 9) ++places[i == 0 ? 0 : i - 1];
  }
  for (const int n : places) CHECK(std::abs(n - 1000) < 120);
}

TEST_CASE("exactly so many are masked, every set as likely") {
  std::map<std::vector<std::int32_t>, int> seen;
  std::vector<std::int32_t> noised(5);
  for (std::uint32_t step = 0; step < 6000; ++step) {
    std::vector<index_t> counts = {2};
    mask_exactly(std::vector<std::int32_t>{0, 1, 2, 3, 4}, std::vector<index_t>{0, 5}, counts,
                 {.mask_token = 9, .may = std::vector<std::uint8_t>{1, 1, 0, 1, 1}, .address = {8, step}}, noised);
    CHECK(noised[2] == 2);
    ++seen[noised];
  }
  CHECK(seen.size() == 6);
  for (const auto& [set, n] : seen) CHECK(std::abs(n - 1000) < 120);
  std::vector<index_t> counts = {9};
  mask_exactly(std::vector<std::int32_t>{0, 1}, std::vector<index_t>{0, 2}, counts, {.mask_token = 9},
               std::span(noised).first(2));
  CHECK(counts[0] == 2);
}

TEST_CASE("exactly so many are those of seed, step, sequence and position, wherever the sequence is") {
  const std::vector<std::int32_t> tokens(24, 1);
  const std::vector<std::uint8_t> may = {1, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1};
  const std::vector<index_t> offsets = {0, 7, 7, 16, 24};
  const auto all_of = [&](std::uint64_t seed, std::uint32_t step) {
    std::vector<std::int32_t> noised(24);
    std::vector<index_t> counts = {3, 2, 4, 3};
    mask_exactly(tokens, offsets, counts, {.mask_token = 9, .may = may, .address = {seed, step, 2}}, noised);
    CHECK(counts == std::vector<index_t>{3, 0, 4, 3});
    return noised;
  };
  const auto whole = all_of(8, 5);
  for (std::size_t s = 0; s < 4; ++s) {
    const auto begin = static_cast<std::size_t>(offsets[s]), length = static_cast<std::size_t>(offsets[s + 1]) - begin;
    std::vector<std::int32_t> own(length);
    std::vector<index_t> count = {std::array{3, 2, 4, 3}[s]};
    const draw_address address{8, 5, 2 + static_cast<std::uint32_t>(s)};
    mask_exactly(std::span(tokens).subspan(begin, length), std::vector<index_t>{0, static_cast<index_t>(length)}, count,
                 {.mask_token = 9, .may = std::span(may).subspan(begin, length), .address = address}, own);
    CHECK(std::equal(own.begin(), own.end(), whole.begin() + offsets[s]));
  }
  CHECK(all_of(9, 5) != whole);
  CHECK(all_of(8, 6) != whole);
  std::map<std::vector<std::int32_t>, int> sets;  // of sequences alike but for their number
  for (std::uint32_t number = 0; number < 10; ++number) {
    std::vector<std::int32_t> own(7);
    std::vector<index_t> count = {3};
    mask_exactly(std::span(tokens).first(7), std::vector<index_t>{0, 7}, count,
                 {.mask_token = 9, .address = {8, 5, number}}, own);
    ++sets[own];
  }
  CHECK(sets.size() > 5);
}

TEST_CASE("masks of what does not fit are refused before anything is written") {
  const std::vector<std::int32_t> tokens = {1, 2, 3};
  std::vector<std::int32_t> noised = {5, 5, 5};
  std::vector<index_t> counts = {-7};
  const auto refused = [&](std::vector<index_t> offsets, std::vector<double> p, mask_options options,
                           const char* part) {
    CAPTURE(part);
    CHECK_THROWS_WITH(mask_at(tokens, offsets, p, options, noised, counts), Catch::Contains(part));
    CHECK((noised == std::vector<std::int32_t>{5, 5, 5} && counts[0] == -7));
  };
  refused({0, 2}, {0.5}, {.mask_token = 9}, "offsets: must begin with 0 and end with the number of tokens, 3");
  refused({1, 3}, {0.5}, {.mask_token = 9}, "offsets: must begin with 0");
  refused({}, {0.5}, {.mask_token = 9}, "offsets");
  refused({0, 1, 3}, {0.5}, {.mask_token = 9}, "counts: has 1 elements for 2 sequences");
  refused({0, 3}, {1.5}, {.mask_token = 9}, "probabilities: must be in [0, 1], one is 1.5");
  refused({0, 3}, {-0.5}, {.mask_token = 9}, "probabilities");
  refused({0, 3}, {std::nan("")}, {.mask_token = 9}, "probabilities");
  refused({0, 3}, {0.5, 0.5}, {.mask_token = 9}, "probabilities: has 2 elements for 1 sequences");
  refused({0, 3}, {0.5}, {.mask_token = -1}, "mask_token");
  const std::vector<std::uint8_t> two = {1, 1};
  refused({0, 3}, {0.5}, {.mask_token = 9, .may = two}, "may: has 2 elements for 3 tokens");
  CHECK_THROWS_WITH(mask_at(tokens, std::vector<index_t>{0, 3}, std::vector<double>{1}, {.mask_token = 9},
                            std::span(noised).first(2), counts),
                    Catch::Contains("noised"));
  CHECK_THROWS_WITH(mask_exactly(tokens, std::vector<index_t>{0, 3}, counts, {.mask_token = 9}, noised),
                    Catch::Contains("counts: must not be negative"));
}

TEST_CASE("exactly so many refuse what a chance refuses, before anything is written") {
  const std::vector<std::int32_t> tokens = {1, 2, 3};
  std::vector<std::int32_t> noised = {5, 5, 5};
  const auto refused = [&](std::vector<index_t> offsets, std::vector<index_t> counts, mask_options options,
                           const char* part) {
    const auto before = counts;
    CHECK_THROWS_WITH(mask_exactly(tokens, offsets, counts, options, noised),
                      Catch::StartsWith("hone::diffusion::mask_exactly: ") && Catch::Contains(part));
    CHECK((noised == std::vector<std::int32_t>{5, 5, 5} && counts == before));
  };
  const std::vector<std::uint8_t> two = {1, 1};
  refused({0, 2}, {1}, {.mask_token = 9}, "offsets");
  refused({0, 1, 3}, {1}, {.mask_token = 9}, "counts: has 1 elements for 2 sequences");
  refused({0, 2, 1, 3}, {0, 0, 0}, {.mask_token = 9}, "offsets: sequence 1 ends before it begins");
  refused({0, 3}, {1}, {.mask_token = -1}, "mask_token: must not be negative, is -1");
  refused({0, 3}, {1}, {.mask_token = 9, .may = two}, "may: has 2 elements for 3 tokens");
  refused({0, 1, 3}, {0, -1}, {.mask_token = 9}, "counts: must not be negative, one is -1");
  std::vector<index_t> counts = {0, 1};
  mask_exactly(tokens, std::vector<index_t>{0, 1, 3}, counts, {.mask_token = 0}, noised);  // id 0 may be the mask
  CHECK((noised[0] == 1 && (noised[1] == 0) != (noised[2] == 0)));
}

TEST_CASE("draws of a chance and of the one at least are those of their address") {
  std::vector<std::int32_t> noised(6);
  std::vector<index_t> counts(2);
  const std::vector<std::int32_t> tokens(6, 1);
  const std::vector<index_t> offsets = {0, 2, 6};
  for (std::uint32_t step = 0; step < 20; ++step) {
    const mask_options options{.mask_token = 0, .at_least_one = true, .address = {7, step, 3}};
    const philox random{7, step};
    mask_at(tokens, offsets, std::vector<double>{0, 0.5}, options, noised, counts);
    const auto only = static_cast<std::size_t>(2 * random.uniform(std::uint64_t{3} << 32, 2));
    CHECK((noised[only] == 0 && noised[1 - only] == 1 && counts[0] == 1));
    index_t drawn = 0;
    for (std::uint64_t i = 0; i < 4; ++i) drawn += random.uniform((std::uint64_t{4} << 32) + i, 0) < 0.5;
    CHECK(counts[1] == (drawn > 0 ? drawn : 1));
    for (std::uint64_t i = 0; drawn > 0 && i < 4; ++i)
      CHECK((noised[2 + i] == 0) == (random.uniform((std::uint64_t{4} << 32) + i, 0) < 0.5));
  }
  // None that may be, none that is.
  const std::vector<std::uint8_t> nobody(6, 0);
  mask_at(tokens, offsets, std::vector<double>{1, 0}, {.mask_token = 0, .may = nobody, .at_least_one = true}, noised,
          counts);
  CHECK((noised == tokens && counts == std::vector<index_t>{0, 0}));
}

TEST_CASE("times are those of seed, step and sequence; a batch of one part is that of its own size") {
  std::vector<double> out(3);
  const philox random{5, 8};
  draw_times(times::independent, out, {5, 8, 2}, 0.25);
  for (std::uint64_t i = 0; i < 3; ++i) CHECK(out[i] == Approx(0.25 + 0.75 * random.uniform((2 + i) << 32, 1)));
  draw_times(times::stratified, out, {5, 8});
  for (std::uint64_t i = 0; i < 3; ++i)
    CHECK(out[i] == Approx((random.uniform(i << 32, 1) + static_cast<double>(i)) / 3).epsilon(1e-14));
  draw_times(times::shared_offset, out, {5, 8});
  const double u = random.uniform(0, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    const double t = u + static_cast<double>(i) / 3;
    CHECK(out[i] == Approx(t < 1 ? t : t - 1).epsilon(1e-14));
  }
  CHECK_NOTHROW(draw_times(times::stratified, out, {0, 0, 1}, 0, 4));
  CHECK_THROWS_WITH(draw_times(times::stratified, out, {0, 0, 1}), Catch::Contains("batch: must say of how many"));
  CHECK_THROWS_WITH(draw_times(times::shared_offset, std::span<double>(static_cast<double*>(nullptr), 2), {}),
                    Catch::StartsWith("hone::diffusion::draw_times: out"));
  CHECK_THROWS_WITH(draw_times(times::independent, out, {}, NAN), Catch::Contains("least"));
}
