// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Means, intervals, tests, bootstrap, ROC, calibration, conformal thresholds, drift, pass at k: what every evaluation
/// needs.
#pragma once
#include "hone/statistics/binomial.hpp"
#include "hone/statistics/bootstrap.hpp"
#include "hone/statistics/calibration.hpp"
#include "hone/statistics/conformal.hpp"
#include "hone/statistics/delong.hpp"
#include "hone/statistics/drift.hpp"
#include "hone/statistics/intervals.hpp"
#include "hone/statistics/ks.hpp"
#include "hone/statistics/means.hpp"
#include "hone/statistics/pass_at_k.hpp"
#include "hone/statistics/quantile.hpp"
#include "hone/statistics/ranked_bootstrap.hpp"
#include "hone/statistics/recalibration.hpp"
#include "hone/statistics/risk_coverage.hpp"
#include "hone/statistics/roc.hpp"
#include "hone/statistics/scored.hpp"
