// The border between an engine compiled with -Ofast and the one file of it that includes hone.
#pragma once
#include <cstddef>
#include <cstdint>

double loss_and_gradient(float* logits, std::ptrdiff_t rows, std::ptrdiff_t vocabulary, const std::int32_t* targets);
