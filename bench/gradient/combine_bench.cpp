// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// combine() against the machine's roof at the same working set. Roofs: the in-place update a <- x a + y b (12 bytes a
/// float), the same out of place, a read of both vectors (8), and for AdamW reading five vectors and writing three
/// (32), of 16-bit gradients with a copy of the parameters 30.
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/adamw.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"

#include "support/roof.hpp"

#include <vector>

namespace {

using namespace hone;

template <class T>
struct data {
  explicit data(index_t n) : f(static_cast<std::size_t>(n)), r(f.size()), out(f.size()) {
    pool.parallel_for(n, block_size, [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        const auto k = static_cast<std::size_t>(i);
        f[k] = from_accumulator<T>(static_cast<float>((i * 7919) % 2003 - 1001) * 1e-3f);
        r[k] = from_accumulator<T>(static_cast<float>((i * 104729) % 1999 - 999) * 1e-3f);
      }
    });
  }
  thread_pool pool;
  std::vector<T> f, r, out;

  /// f stays as it is: combined again and again with r it would become a multiple of r.
  void update_into(std::vector<T>& target) {
    const auto a = as_vector(f), b = as_vector(r), c = as_vector(target);
    using packs = pack_of<T>;
    for_each_block<float>(
        a.size(), pool,
        [&](index_t i, auto bound) {
          store_pack(c, i, bound, packs(1) * load_pack(a, i, bound) + packs(0) * load_pack(b, i, bound));
        },
        a, b, c);
  }
  void update() { update_into(f); }
  void read() { benchmark::DoNotOptimize(dot(f, r, pool)); }
};

template <class T>
void sago_in_place(benchmark::State& state) {
  data<T> d(state.range(0) << 20);
  against_roof(
      state, 3 * sizeof(T) * static_cast<double>(d.f.size()),
      [&] { combine(gradient::sago{.retain = 0.5, .forget = 0.5}, gradient::tasks(d.f, d.r), d.f, {}, d.pool); },
      [&] { d.update(); });
}

void sago_geometry(benchmark::State& state) {
  data<float> d(state.range(0) << 20);
  against_roof(
      state, 12 * static_cast<double>(d.f.size()),
      [&] {
        combine(gradient::sago{.retain = 0.5, .forget = 0.5}, gradient::tasks(d.f, d.r), d.f, {.geometry = true},
                d.pool);
      },
      [&] { d.update(); });
}

void sago_out_of_place(benchmark::State& state) {
  data<float> d(state.range(0) << 20);
  against_roof(
      state, 12 * static_cast<double>(d.f.size()),
      [&] { combine(gradient::sago{.retain = 0.5, .forget = 0.5}, gradient::tasks(d.f, d.r), d.out, {}, d.pool); },
      [&] { d.update_into(d.out); });
}

/// Parameters and moments beside the gradients; the roof touches all five vectors as the fused step does.
struct optimizer_data : data<float> {
  explicit optimizer_data(index_t n) : data(n), p(f.size(), 1.0f), m(f.size()), v(f.size()) {}
  void touch() {
    const auto a = as_vector(f), b = as_vector(r), x = as_vector(p), y = as_vector(m), z = as_vector(v);
    using packs = pack_of<float>;
    for_each_block<float>(
        a.size(), pool,
        [&](index_t i, auto bound) {
          const packs g = load_pack(a, i, bound) + load_pack(b, i, bound);
          store_pack(x, i, bound, packs(0.5f) * load_pack(x, i, bound) + g);
          store_pack(y, i, bound, packs(0.5f) * load_pack(y, i, bound) + g);
          store_pack(z, i, bound, packs(0.5f) * load_pack(z, i, bound) + g);
        },
        a, b, x, y, z);
  }
  std::vector<float> p, m, v;
};

void sago_adamw_fused(benchmark::State& state) {
  optimizer_data d(state.range(0) << 20);
  against_roof(
      state, 32 * static_cast<double>(d.f.size()),
      [&] { combine(gradient::sago{}, gradient::tasks(d.f, d.r), gradient::adamw(d.p, d.m, d.v, 1), {}, d.pool); },
      [&] { d.touch(); });
}

/// The same in two passes: 12 + 28 bytes a parameter, against the fused step's roof.
void sago_then_adamw(benchmark::State& state) {
  optimizer_data d(state.range(0) << 20);
  against_roof(
      state, 32 * static_cast<double>(d.f.size()),
      [&] {
        combine(gradient::sago{}, gradient::tasks(d.f, d.r), d.f, {}, d.pool);
        gradient::weighted_sum({1.0}, gradient::tasks(d.f), gradient::adamw(d.p, d.m, d.v, 1), d.pool);
      },
      [&] { d.touch(); });
}

/// Gradients in 16 bits, parameters and moments in float, and the model's 16-bit parameters; the roof touches all six
/// vectors as the fused step does: 4 bytes a parameter of gradients, 24 of state, 2 of the copy.
struct mixed_data : data<bfloat16> {
  explicit mixed_data(index_t n) : data(n), p(f.size(), 1.0f), m(f.size()), v(f.size()) {}
  void touch() {
    const auto a = as_vector(f), b = as_vector(r), c = as_vector(out);
    const auto x = as_vector(p), y = as_vector(m), z = as_vector(v);
    using packs = pack_of<float>;
    for_each_block<float>(
        a.size(), pool,
        [&](index_t i, auto bound) {
          const packs g = load_pack(a, i, bound) + load_pack(b, i, bound);
          const packs moved = packs(0.5f) * load_pack(x, i, bound) + g;
          store_pack(x, i, bound, moved);
          store_pack(y, i, bound, packs(0.5f) * load_pack(y, i, bound) + g);
          store_pack(z, i, bound, packs(0.5f) * load_pack(z, i, bound) + g);
          store_pack(c, i, bound, moved);
        },
        a, b, x, y, z, c);
  }
  std::vector<float> p, m, v;
};

void sago_adamw_with_copy(benchmark::State& state) {
  mixed_data d(state.range(0) << 20);
  against_roof(
      state, 30 * static_cast<double>(d.f.size()),
      [&] {
        combine(gradient::sago{}, gradient::tasks(d.f, d.r),
                gradient::adamw(gradient::with_copy(d.p, d.out), d.m, d.v, 1), {}, d.pool);
      },
      [&] { d.touch(); });
}

/// The same in two passes: the parameters are read again to be rounded, 28 + 6 bytes, against the fused step's roof.
void sago_adamw_then_copy(benchmark::State& state) {
  mixed_data d(state.range(0) << 20);
  against_roof(
      state, 30 * static_cast<double>(d.f.size()),
      [&] {
        combine(gradient::sago{}, gradient::tasks(d.f, d.r), gradient::adamw(d.p, d.m, d.v, 1), {}, d.pool);
        copy(d.p, d.out, d.pool);
      },
      [&] { d.touch(); });
}

template <class T>
void pcgrad(benchmark::State& state, index_t group) {
  data<T> d(state.range(0) << 20);
  std::vector<index_t> groups;
  for (index_t i = 0; i <= static_cast<index_t>(d.f.size()); i += group) groups.push_back(i);
  against_roof(
      state, 5 * sizeof(T) * static_cast<double>(d.f.size()),
      [&] {
        combine(gradient::pcgrad{.retain = 0, .forget = 1}, gradient::tasks(d.f, d.r), d.f, {.groups = groups}, d.pool);
      },
      [&] { d.read(), d.update(); });
}

template <class T>
void pcgrad_per_tensor(benchmark::State& state) {
  pcgrad<T>(state, index_t{1} << 20);
}
template <class T>
void pcgrad_global(benchmark::State& state) {
  pcgrad<T>(state, state.range(0) << 20);
}

/// As the authors' code does it: a pass of its own for every operation, booleans and temporaries in memory.
void sago_eager(benchmark::State& state) {
  data<float> d(state.range(0) << 20);
  const std::size_t n = d.f.size();
  std::vector<float> sign_f(n), sign_r(n), product(n);
  std::vector<char> conflict(n);
  against_roof(
      state, 12 * static_cast<double>(d.f.size()),
      [&] {
        const auto pass = [&](auto&& f) {
          d.pool.parallel_for(static_cast<index_t>(n), block_size, [&](index_t begin, index_t end) {
            for (index_t i = begin; i < end; ++i) f(static_cast<std::size_t>(i));
          });
        };
        const auto sign = [](float x) { return static_cast<float>((x > 0) - (x < 0)); };
        pass([&](std::size_t i) { sign_f[i] = sign(d.f[i]); });
        pass([&](std::size_t i) { sign_r[i] = sign(d.r[i]); });
        pass([&](std::size_t i) { product[i] = sign_f[i] * sign_r[i]; });
        pass([&](std::size_t i) { conflict[i] = product[i] < 0; });
        pass([&](std::size_t i) { d.out[i] = 0; });
        pass([&](std::size_t i) {
          if (conflict[i]) d.out[i] = d.r[i];
        });
        pass([&](std::size_t i) {
          if (!conflict[i]) d.out[i] = d.f[i];
        });
      },
      [&] { d.update(); });
}

void sizes(benchmark::internal::Benchmark* b) { b->ArgName("Mi")->Arg(16)->Arg(256)->UseManualTime()->MinTime(1.0); }

BENCHMARK(sago_in_place<float>)->Apply(sizes);
BENCHMARK(sago_in_place<bfloat16>)->Apply(sizes);
BENCHMARK(sago_in_place<float16>)->Apply(sizes);
BENCHMARK(pcgrad_per_tensor<float>)->Apply(sizes);
BENCHMARK(pcgrad_per_tensor<bfloat16>)->Apply(sizes);
BENCHMARK(pcgrad_global<float>)->Apply(sizes);
BENCHMARK(pcgrad_global<bfloat16>)->Apply(sizes);
BENCHMARK(sago_out_of_place)->Apply(sizes);
BENCHMARK(sago_geometry)->Apply(sizes);
BENCHMARK(sago_adamw_fused)->Apply(sizes);
BENCHMARK(sago_then_adamw)->Apply(sizes);
BENCHMARK(sago_adamw_with_copy)->Apply(sizes);
BENCHMARK(sago_adamw_then_copy)->Apply(sizes);
BENCHMARK(sago_eager)->Apply(sizes);

}  // namespace
