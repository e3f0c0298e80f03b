// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Second moments, symmetric eigenproblems, low-rank factors, convex problems.
#pragma once
#include "hone/linalg/bargaining.hpp"
#include "hone/linalg/dense.hpp"
#include "hone/linalg/gram_rows.hpp"
#include "hone/linalg/hull.hpp"
#include "hone/linalg/nonnegative_quadratic.hpp"
#include "hone/linalg/orthonormal.hpp"
#include "hone/linalg/principal_angles.hpp"
#include "hone/linalg/second_moments.hpp"
#include "hone/linalg/spectrum.hpp"
#include "hone/linalg/symmetric_eigen.hpp"
#include "hone/linalg/top_eigen.hpp"
#include "hone/linalg/truncated_svd.hpp"
