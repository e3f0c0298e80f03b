// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The losses that `unlearn` knows, by name: each adds weight times the gradient of its mean and returns its sum.
#pragma once
#include "hone/loss/divergence.hpp"
#include "hone/loss/hinge.hpp"
#include "hone/loss/rmu.hpp"
#include "hone/loss/sequence.hpp"
#include "unlearn/network.hpp"

namespace unlearn {

/// Constants of which each loss reads its own.
struct loss_options {
  double beta;
  double delta;
  double steering;  ///< how long rmu's direction is
  index_t layer;    ///< the hidden state that rmu and `hidden` read
  std::span<const float> direction;
};

/// What is to be forgotten in one step: the answers, what the reference thinks of them, and a refusal to each question.
struct forget_batch {
  labelled_rows answers, refusals;
  std::vector<double> reference_nll;
};

using forget_loss = loss::loss_sum (*)(network&, const forget_batch&, const loss_options&, double weight,
                                       std::vector<float>& gradient);
using retain_loss = loss::loss_sum (*)(network&, const labelled_rows&, const loss_options&, double weight,
                                       std::vector<float>& gradient);

/// A loss on rows of logits, over every label alike: f(part, targets, options).
template <class F>
loss::loss_sum by_label(network& net, const labelled_rows& rows, double weight, std::vector<float>& gradient, F&& f) {
  const loss::row_options options{.scale = weight / static_cast<double>(rows.label_count())};
  return net.learner.accumulate(
      rows.batch(), [&](microbatch<float>& part) { return f(part, part.rows_of<std::int32_t>(rows.targets), options); },
      gradient, net.pool);
}

/// A loss on the likelihood of whole answers: f(nll, slope).
template <class F>
loss::loss_sum by_answer(network& net, const labelled_rows& rows, double weight, std::vector<float>& gradient, F&& f) {
  return net.learner.accumulate_answers(rows, gradient, weight / static_cast<double>(rows.sequences()), f, net.pool);
}

inline loss::loss_sum grad_ascent(network& net, const forget_batch& b, const loss_options&, double weight,
                                  std::vector<float>& gradient) {
  return by_label(net, b.answers, weight, gradient, [](auto& part, auto targets, const auto& options) {
    return loss::gradient_ascent(part.activations.logits(), targets, options);
  });
}
inline loss::loss_sum npo(network& net, const forget_batch& b, const loss_options& constants, double weight,
                          std::vector<float>& gradient) {
  return by_answer(net, b.answers, weight, gradient,
                   [&](auto nll, auto slope) { return loss::npo(nll, b.reference_nll, slope, constants.beta); });
}
inline loss::loss_sum simnpo(network& net, const forget_batch& b, const loss_options& constants, double weight,
                             std::vector<float>& gradient) {
  return by_answer(net, b.answers, weight, gradient, [&](auto nll, auto slope) {
    return loss::simnpo(nll, b.answers.labels, slope, {.beta = constants.beta, .delta = constants.delta});
  });
}
inline loss::loss_sum dpo(network& net, const forget_batch& b, const loss_options& constants, double weight,
                          std::vector<float>& gradient) {
  const auto nll = net.sequence_nll(b.answers), refusal_nll = net.sequence_nll(b.refusals);
  std::vector<double> slope(nll.size());
  const auto sum = loss::dpo(nll, b.reference_nll, refusal_nll, net.learner.reference_nll(b.refusals, net.pool), slope,
                             constants.beta);
  const double scale = weight / static_cast<double>(nll.size());
  net.learner.likelihood(b.answers, gradient, scale, slope, net.pool);
  net.learner.likelihood(b.refusals, gradient, -scale, slope, net.pool);
  return sum;
}
inline loss::loss_sum idk(network& net, const forget_batch& b, const loss_options&, double weight,
                          std::vector<float>& gradient) {
  return net.likelihood(b.refusals, gradient, weight);
}
inline loss::loss_sum ihl(network& net, const forget_batch& b, const loss_options&, double weight,
                          std::vector<float>& gradient) {
  return by_label(net, b.answers, weight, gradient, [](auto& part, auto targets, const auto& options) {
    return loss::inverted_hinge(part.activations.logits(), targets, options);
  });
}
inline loss::loss_sum rmu(network& net, const forget_batch& b, const loss_options& constants, double weight,
                          std::vector<float>& gradient) {
  return by_label(net, b.answers, weight, gradient, [&](auto& part, auto targets, const auto& options) {
    part.logits_have_gradient = false;
    return loss::rmu_forget(part.tap(constants.layer), targets, constants.direction, constants.steering, options);
  });
}
inline loss::loss_sum undial(network& net, const forget_batch& b, const loss_options& constants, double weight,
                             std::vector<float>& gradient) {
  return by_label(net, b.answers, weight, gradient, [&](auto& part, auto targets, const auto& options) {
    return loss::undial(part.activations.logits(), net.learner.reference_of(part).logits(), targets, constants.beta,
                        options);
  });
}
inline loss::loss_sum wga(network& net, const forget_batch& b, const loss_options& constants, double weight,
                          std::vector<float>& gradient) {
  return by_label(net, b.answers, weight, gradient, [&](auto& part, auto targets, const auto& options) {
    return loss::wga(part.activations.logits(), targets, constants.beta, options);
  });
}
inline loss::loss_sum satimp(network& net, const forget_batch& b, const loss_options&, double weight,
                             std::vector<float>& gradient) {
  return by_label(net, b.answers, weight, gradient, [](auto& part, auto targets, const auto& options) {
    return loss::satimp(part.activations.logits(), targets, {}, options);
  });
}

inline loss::loss_sum retain_nll(network& net, const labelled_rows& rows, const loss_options&, double weight,
                                 std::vector<float>& gradient) {
  return net.likelihood(rows, gradient, weight);
}
inline loss::loss_sum retain_kl(network& net, const labelled_rows& rows, const loss_options&, double weight,
                                std::vector<float>& gradient) {
  return by_label(net, rows, weight, gradient, [&](auto& part, auto targets, const auto& options) {
    return loss::kl_to_reference(part.activations.logits(), net.learner.reference_of(part).logits(), targets,
                                 loss::kl_direction::forward, options);
  });
}
inline loss::loss_sum retain_hidden(network& net, const labelled_rows& rows, const loss_options& constants,
                                    double weight, std::vector<float>& gradient) {
  return by_label(net, rows, weight, gradient, [&](auto& part, auto targets, const auto& options) {
    part.logits_have_gradient = false;
    return loss::rmu_retain(part.tap(constants.layer), net.learner.reference_of(part).hidden(constants.layer), targets,
                            options);
  });
}

struct objective {
  const char* name;
  forget_loss loss;
  double beta = 0;  ///< what its authors use; 0 where it has none
  /// Compares sums over an answer's tokens: where answers are long, its authors' beta stops forgetting early.
  bool sums_tokens = false;
};
inline constexpr objective objectives[] = {{"grad_ascent", grad_ascent},
                                           {"grad_diff", grad_ascent},
                                           {"npo", npo, 0.1, true},
                                           {"simnpo", simnpo, 4.5},
                                           {"dpo", dpo, 0.1, true},
                                           {"idk", idk},
                                           {"ihl", ihl},
                                           {"rmu", rmu},
                                           {"undial", undial, 10},
                                           {"wga", wga, 1},
                                           {"satimp", satimp}};

struct anchor {
  const char* name;
  retain_loss loss;
};
inline constexpr anchor anchors[] = {{"nll", retain_nll}, {"kl", retain_kl}, {"hidden", retain_hidden}};

}  // namespace unlearn
