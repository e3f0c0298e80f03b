// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The bundled decoder: forward, backward, training, adapters, generation.
#pragma once
#include "hone/transformer/adapted.hpp"
#include "hone/transformer/attention.hpp"
#include "hone/transformer/config.hpp"
#include "hone/transformer/decoder.hpp"
#include "hone/transformer/feed_forward.hpp"
#include "hone/transformer/generate.hpp"
#include "hone/transformer/linear.hpp"
#include "hone/transformer/linear_loss.hpp"
#include "hone/transformer/normalization.hpp"
#include "hone/transformer/panel.hpp"
#include "hone/transformer/rotary.hpp"
#include "hone/transformer/sampling.hpp"
#include "hone/transformer/schedule.hpp"
#include "hone/transformer/trainer.hpp"
#include "hone/transformer/workspace.hpp"
