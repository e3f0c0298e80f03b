// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/lora/adapter.hpp"

#include "support/catch.hpp"

using namespace hone;
using namespace hone::lora;

TEST_CASE("sites are laid one after the other, A before B, and open as matrices") {
  std::vector<site> sites = {{"q", 4, 6, 2, 2.0}, {"v", 3, 3, 3, 0.5}, {"o", 5, 1, 1, 1.0}};
  const index_t size = lay_out(sites);
  CHECK(size == 2 * 10 + 3 * 6 + 6);
  CHECK(sites[0].offset == 0);
  CHECK(sites[1].offset == 20);
  CHECK(sites[2].offset == 38);
  std::vector<float> elements(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(i);
  const auto a = sites[1].a(elements.data());
  CHECK(a.rows() == 3);
  CHECK(a.cols() == 3);
  CHECK(a(1, 2) == 25);
  const auto b = sites[0].b(elements.data());
  CHECK(b.rows() == 4);
  CHECK(b.cols() == 2);
  CHECK(b(0, 0) == 12);
  CHECK(b(3, 1) == 19);
  CHECK(adapter<>{sites, elements}.parameters.size() == elements.size());
}

TEST_CASE("sites of impossible shapes are refused, and none is moved then") {
  const site good{"q", 4, 6, 2, 2.0, 99};
  for (const site& bad :
       {site{"x", 0, 6, 1, 1.0}, site{"x", 4, 0, 1, 1.0}, site{"x", 4, 6, 0, 1.0}, site{"x", 4, 6, 5, 1.0},
        site{"x", 6, 4, 5, 1.0}, site{"x", 4, 6, 2, 0.0}, site{"x", 4, 6, 2, -1.0}, site{"x", 4, 6, 2, 1e301},
        site{"x", 4, 6, 2, std::nan("")}, site{"x", -4, 6, 1, 1.0}, site{"x", 4, -6, 1, 1.0}, site{"x", 4, 6, -1, 1.0},
        site{"x", 4, 6, 2, 1e300}, site{"x", 4, 6, 2, INFINITY}}) {
    std::vector<site> sites = {good, bad};
    CHECK_THROWS_AS(lay_out(sites), std::invalid_argument);
    CHECK(sites[0].offset == 99);
  }
  std::vector<site> limits = {{"x", 1, 1, 1, 1e-300}, {"y", 2, 3, 2, 9e299}, {"z", 3, 2, 2, 1.0}};
  CHECK(lay_out(limits) == 2 + 10 + 10);
  CHECK(limits[2].offset == 12);
  CHECK(site{"x", 4, 6, 2, 1.0}.offset == 0);
  const site no_outputs{"x", 0, 6, 1, 1.0}, no_inputs{"x", 4, 0, 1, 1.0};
  CHECK_THROWS_WITH(lora::detail::check_site(no_outputs, "f"), "f: x: is 0 x 6: both must be positive");
  CHECK_THROWS_WITH(lora::detail::check_site(no_inputs, "f"), "f: x: is 4 x 0: both must be positive");
  const site unnamed{"x", 4, 6, 5, 1.0};
  CHECK_THROWS_WITH(lora::detail::check_site(unnamed, "f"),
                    "f: x: rank 5 of a 4 x 6 matrix: must be in [1, its smaller side]");
  std::vector<site> none;
  CHECK(lay_out(none) == 0);
}

TEST_CASE("scales: alpha over the rank, and over its root") {
  CHECK(standard_scale(64, 32) == 2);
  CHECK(rank_stabilised_scale(64, 16) == 16);
  CHECK(rank_stabilised_scale(3, 1) == standard_scale(3, 1));
}

TEST_CASE("a buffer that is too short or strided is refused with the site's name") {
  const site s{"model.q", 4, 6, 2, 2.0, 3};
  std::vector<float> exact(23), shorter(22);
  CHECK(lora::detail::buffer_of(exact, s, "f") == exact.data());
  CHECK_THROWS_WITH(lora::detail::buffer_of(shorter, s, "f"), Catch::Contains("model.q ends at 23"));
  site early = s;
  early.offset = -1;
  CHECK_THROWS_WITH(lora::detail::buffer_of(exact, early, "f"), Catch::Contains("model.q ends at 19"));
  CHECK_THROWS_WITH(lora::detail::buffer_of(vector_view<float>(nullptr, 23), s, "f"),
                    Catch::Contains("has 23 elements and no memory"));
  CHECK_THROWS_WITH(lora::detail::buffer_of(vector_view<float>(nullptr, 0), s, "f"),
                    Catch::Contains("has 0 elements, model.q ends at 23"));
  std::vector<float> twice(46);
  CHECK_THROWS_AS(lora::detail::buffer_of(vector_view<float>(twice.data(), 23, 2), s, "f"), std::invalid_argument);
}
