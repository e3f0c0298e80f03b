// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Small models, random numbers, and the decoder written down naively, position by position, in double.
#pragma once
#include "hone/core/random.hpp"
#include "hone/loss/likelihood.hpp"
#include "hone/transformer/decoder.hpp"
#include "moe/reference.hpp"
#include "support/gradient_error.hpp"
#include "transformer/models.hpp"

#include <cmath>
#include <limits>
#include <vector>

template <class T>
std::vector<T> normals(hone::index_t n, std::uint32_t stream, double deviation = 1) {
  std::vector<T> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(deviation * hone::philox{21, stream}.normal(i));
  return x;
}

template <class T>
hone::matrix_view<T> as_rows(std::vector<T>& x, hone::index_t rows) {
  return {x.data(), rows, static_cast<hone::index_t>(x.size()) / rows};
}
template <class T>
hone::matrix_view<const T> as_rows(const std::vector<T>& x, hone::index_t rows) {
  return {x.data(), rows, static_cast<hone::index_t>(x.size()) / rows};
}

/// Four sequences, one of them of one token and one empty.
struct sequences {
  explicit sequences(const hone::transformer::config& c) {
    for (hone::index_t i = 0; i < offsets.back(); ++i) {
      tokens.push_back(static_cast<std::int32_t>((i * 7 + 3) % c.vocab));
      targets.push_back(i % 6 == 0 ? hone::loss::ignored : static_cast<std::int32_t>((i * 5 + 1) % c.vocab));
    }
  }
  std::vector<hone::index_t> offsets = {0, 14, 15, 15, 24};
  std::vector<std::int32_t> tokens, targets;

  [[nodiscard]] hone::transformer::batch all() const { return {tokens, offsets}; }
};

/// The gradient error of a model's @p parameters under a likelihood and gradients on every hidden state and on the
/// logits of every router.
template <class Model>
double tapped_gradient_error(const Model& model, const std::vector<double>& parameters) {
  const hone::transformer::config& c = model.shape();
  const sequences s(c);
  hone::transformer::workspace<double> w(c, 24);
  const auto slope = normals<double>((c.n_layers + 1) * 24 * c.d_model, 3, 0.1);
  const auto tap = [&](hone::index_t layer) {
    return hone::matrix_view<const double>(slope.data() + layer * 24 * c.d_model, 24, c.d_model);
  };
  const auto router_slope = normals<double>(24 * c.experts.count, 4, 0.1);
  const auto loss = [&](const std::vector<double>& p) {
    model.forward(p, s.all(), w);
    double sum = hone::loss::likelihood(w.logits(), s.targets).sum;
    for (hone::index_t layer = 0; layer < c.n_layers; ++layer)
      for (hone::index_t t = 0; c.sparse(layer) && t < 24; ++t)
        sum += hone::dot(w.router_logits(layer).row(t), as_rows(router_slope, 24).row(t));
    for (hone::index_t layer = 0; layer <= c.n_layers; ++layer)
      for (hone::index_t t = 0; t < 24; ++t) sum += hone::dot(w.hidden(layer).row(t), tap(layer).row(t));
    return sum;
  };
  loss(parameters);
  std::vector<hone::transformer::tap_gradient<double>> taps;
  for (hone::index_t layer = 0; layer <= c.n_layers; ++layer) taps.push_back({layer, tap(layer)});
  for (hone::index_t layer = 0; layer < c.n_layers; ++layer)
    if (c.sparse(layer)) taps.push_back({layer, as_rows(router_slope, 24), hone::transformer::tapped::router_logits});
  std::vector<double> gradient(parameters.size(), 0.0);
  model.backward(parameters, s.all(), w, w.logits(), taps, gradient);
  return gradient_error(parameters, gradient, loss);
}

/// Memory for a block's share of a workspace: begins as NaN, so that nothing that was not written may be read.
template <class T>
class arrays {
 public:
  explicit arrays(hone::index_t rows) : rows_(rows) {}
  T* operator()(hone::index_t width) {
    memory_.push_back(std::vector<T>(static_cast<std::size_t>(rows_ * width), std::numeric_limits<T>::quiet_NaN()));
    return memory_.back().data();
  }

 private:
  hone::index_t rows_;
  std::vector<std::vector<T>> memory_;
};

/// Elements as they are when they are stored as S.
template <class S, class T>
std::vector<S> stored_as(const std::vector<T>& x) {
  std::vector<S> result;
  for (const T v : x) result.push_back(hone::from_accumulator<S>(static_cast<hone::accumulator_t<S>>(v)));
  return result;
}
template <class T, class S>
std::vector<T> converted_from(const std::vector<S>& x) {
  std::vector<T> result;
  for (const S v : x) result.push_back(static_cast<T>(hone::to_accumulator(v)));
  return result;
}

/// Logits and residual streams of one sequence, from the definition.
struct naive_decoder {
  using matrix = std::vector<std::vector<double>>;
  matrix logits;
  std::vector<matrix> hidden;  ///< [layer][position]

  naive_decoder(const hone::transformer::config& c, const std::vector<double>& parameters,
                const std::vector<std::int32_t>& tokens) {
    const auto table = hone::transformer::tensor_table(c);
    const auto weight = [&](const std::string& name, hone::index_t row) {
      for (const auto& t : table)
        if (t.name == name) return parameters.data() + t.offset + row * t.cols;
      throw std::logic_error(name);
    };
    const auto apply = [&](const std::string& name, const std::vector<double>& x, hone::index_t out,
                           const std::string& bias = "") {
      std::vector<double> y;
      for (hone::index_t i = 0; i < out; ++i) {
        double sum = bias.empty() ? 0 : weight(bias, 0)[i];
        for (std::size_t j = 0; j < x.size(); ++j) sum += weight(name, i)[j] * x[j];
        y.push_back(sum);
      }
      return y;
    };
    const auto norm = [&](const std::string& name, const std::vector<double>& x) {
      double squares = 0;
      for (const double v : x) squares += v * v;
      std::vector<double> y;
      for (std::size_t i = 0; i < x.size(); ++i)
        y.push_back(weight(name, 0)[i] * x[i] / std::sqrt(squares / static_cast<double>(x.size()) + c.norm_eps));
      return y;
    };
    const hone::index_t size = c.head_size();
    const auto norm_heads = [&](const std::string& name, std::vector<double>& x) {
      const bool whole = c.qk_norm == hone::transformer::query_key_norm::whole;
      const auto step = whole ? static_cast<hone::index_t>(x.size()) : size;
      for (auto part = x.begin(); part != x.end(); part += step) {
        const auto normed = norm(name, {part, part + step});
        std::copy(normed.begin(), normed.end(), part);
      }
    };
    const auto frequency = [&](hone::index_t i) {
      const double f = 1 / std::pow(c.rope_base, 2.0 * static_cast<double>(i) / static_cast<double>(size));
      const auto& s = c.scaling;
      using hone::transformer::rope_scaling;
      if (s.how == rope_scaling::method::linear) return f / s.factor;
      if (s.how == rope_scaling::method::llama3) {
        const double wavelength = 2 * std::acos(-1.0) / f, length = static_cast<double>(s.original_max_seq);
        if (wavelength < length / s.high_frequency) return f;
        if (wavelength > length / s.low_frequency) return f / s.factor;
        const double smooth = (length / wavelength - s.low_frequency) / (s.high_frequency - s.low_frequency);
        return (1 - smooth) * f / s.factor + smooth * f;
      }
      return f;
    };
    const auto rotate = [&](std::vector<double>& x, std::size_t position) {
      for (std::size_t head = 0; head < x.size(); head += static_cast<std::size_t>(size))
        for (hone::index_t i = 0; i < size / 2; ++i) {
          const bool half = c.rope == hone::transformer::rope_layout::half;
          const auto a = head + static_cast<std::size_t>(half ? i : 2 * i);
          const auto b = head + static_cast<std::size_t>(half ? i + size / 2 : 2 * i + 1);
          const double angle = static_cast<double>(position) * frequency(i);
          const double u = x[a], v = x[b];
          x[a] = u * std::cos(angle) - v * std::sin(angle);
          x[b] = u * std::sin(angle) + v * std::cos(angle);
        }
    };
    matrix x;
    for (const auto token : tokens) x.emplace_back(weight("tok_emb", token), weight("tok_emb", token) + c.d_model);
    for (hone::index_t layer = 0; layer < c.n_layers; ++layer) {
      hidden.push_back(x);
      const auto own = [&](const char* name) {
        std::string result(name);
        result += '.';
        return result += std::to_string(layer);
      };
      matrix q, k, v;
      for (std::size_t t = 0; t < x.size(); ++t) {
        const auto n = norm(own("att_norm"), x[t]);
        q.push_back(apply(own("wq"), n, c.q_width(), c.qkv_bias ? own("bq") : ""));
        k.push_back(apply(own("wk"), n, c.kv_width(), c.qkv_bias ? own("bk") : ""));
        v.push_back(apply(own("wv"), n, c.kv_width(), c.qkv_bias ? own("bv") : ""));
        if (c.qk_norm != hone::transformer::query_key_norm::none) {
          norm_heads(own("q_norm"), q.back());
          norm_heads(own("k_norm"), k.back());
        }
        for (auto* part : {&q.back(), &k.back(), &v.back()})
          for (double& value : *part)
            if (c.clip_qkv > 0) value = (std::min)((std::max)(value, -c.clip_qkv), c.clip_qkv);
        rotate(q.back(), t);
        rotate(k.back(), t);
      }
      for (std::size_t t = 0; t < x.size(); ++t) {
        std::vector<double> attended(static_cast<std::size_t>(c.q_width()), 0.0);
        for (hone::index_t head = 0; head < c.n_heads; ++head) {
          const auto from = static_cast<std::size_t>(head * size);
          const auto kv = static_cast<std::size_t>(head * c.n_kv_heads / c.n_heads * size);
          std::vector<double> weights;
          double total = 0;
          const auto window = static_cast<std::size_t>(layer < c.full_layers ? 0 : c.window);
          const std::size_t first = window > 0 && t + 1 > window ? t + 1 - window : 0;
          const std::size_t block = c.block > 0 ? static_cast<std::size_t>(c.block) : x.size();
          const std::size_t last = c.causal ? t + 1 : (std::min)((t / block + 1) * block, x.size());
          for (std::size_t u = first; u < last; ++u) {
            double score = 0;
            for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i) score += q[t][from + i] * k[u][kv + i];
            weights.push_back(std::exp(score / std::sqrt(static_cast<double>(size))));
            total += weights.back();
          }
          for (std::size_t u = 0; u < weights.size(); ++u)
            for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i)
              attended[from + i] += weights[u] / total * v[first + u][kv + i];
        }
        const auto out = apply(own("wo"), attended, c.d_model, c.output_bias ? own("bo") : "");
        for (std::size_t i = 0; i < out.size(); ++i) x[t][i] += out[i];
      }
      // row += factor times what one feed-forward layer makes of n
      const auto feed_forward = [&](const std::vector<double>& n, const std::string& prefix, const std::string& suffix,
                                    hone::index_t width, double factor, std::vector<double>& row) {
        auto gate = apply(own((prefix + "w1").c_str()) + suffix, n, width);
        const auto up = apply(own((prefix + "w3").c_str()) + suffix, n, width);
        for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        const auto out = apply(own((prefix + "w2").c_str()) + suffix, gate, c.d_model);
        for (std::size_t i = 0; i < out.size(); ++i) row[i] += factor * out[i];
      };
      matrix normed;
      for (const auto& row : x) normed.push_back(norm(own("ffn_norm"), row));
      if (!c.sparse(layer)) {
        for (std::size_t t = 0; t < x.size(); ++t) feed_forward(normed[t], "", "", c.d_ff, 1, x[t]);
        continue;
      }
      matrix router;
      for (const auto& n : normed) router.push_back(apply(own("router"), n, c.experts.count));
      for (std::size_t t = 0; c.experts.shared_d_ff > 0 && t < x.size(); ++t)
        feed_forward(normed[t], "shared_", "", c.experts.shared_d_ff, 1, x[t]);
      if (x.empty()) continue;
      hone::moe::route_options<double> options;
      std::vector<hone::index_t> pools = {0};
      const auto length = static_cast<hone::index_t>(x.size());
      while (c.block > 0 && pools.back() < length) pools.push_back((std::min)(pools.back() + c.block, length));
      if (c.block > 0) options.offsets = pools;
      if (c.experts.selection_bias)
        options.bias = {weight(own("selection_bias"), 0), static_cast<std::size_t>(c.experts.count)};
      for (const auto& [slot, gate] : moe_reference::route(c.experts.router, router, options).gate)
        feed_forward(normed[static_cast<std::size_t>(slot.second)], "", "." + std::to_string(slot.first),
                     c.experts.d_ff, gate, x[static_cast<std::size_t>(slot.second)]);
    }
    hidden.push_back(x);
    for (const auto& row : x)
      logits.push_back(apply(c.tie_embeddings ? "tok_emb" : "wcls", norm("final_norm", row), c.output_width()));
  }
};
