// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Reading weights into a parameter buffer, beside a plain read of the same bytes into memory. The files are made in
/// the temporary folder, are in the page cache, and are removed; rows of 500 MB run where a filter asks for them:
///   bash bench/run.sh --benchmark_filter=MB:500
#include "hone/io/safetensors.hpp"

#include "support/roof.hpp"

#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

namespace {

/// A model of @p megabytes in tensors of 4 MB, stored as @p stored.
class weights {
 public:
  weights(std::size_t megabytes, hone::format stored)
      : path_(std::filesystem::temp_directory_path() / "hone_bench.safetensors"),
        elements_(megabytes * 1000000 / (stored == hone::format::float32 ? 4 : 2)) {
    for (std::size_t i = 0; i < elements_.size(); ++i) elements_[i] = static_cast<float>(i % 1000) - 500;
    std::vector<hone::io::tensor_source> tensors;
    for (std::size_t at = 0; at < elements_.size(); at += 1000000)
      tensors.push_back(
          {"layers." + std::to_string(at), {1000, 1000}, std::span(elements_).subspan(at, 1000000), stored});
    hone::io::write_safetensors(path_, tensors);
  }
  weights(const weights&) = delete;
  weights& operator=(const weights&) = delete;
  ~weights() { std::remove(path_.string().c_str()); }

  /// All tensors to the parameter buffer: the file is opened, parsed and converted.
  void read() {
    const hone::io::safetensors file = hone::io::read_safetensors(path_);
    std::size_t at = 0;
    for (const hone::io::stored_tensor& t : file.tensors) {
      hone::io::copy_elements(t, std::span(elements_).subspan(at, 1000000));
      at += 1000000;
    }
    benchmark::DoNotOptimize(elements_.data());
  }
  /// The bytes of the file to memory that is there.
  void read_plainly(std::vector<char>& memory) const {
    const int file = ::open(path_.c_str(), O_RDONLY);
    for (std::size_t at = 0; at < memory.size();) {
      const auto read = ::read(file, memory.data() + at, memory.size() - at);
      if (read <= 0) std::abort();
      at += static_cast<std::size_t>(read);
    }
    ::close(file);
  }
  [[nodiscard]] std::size_t bytes() const { return std::filesystem::file_size(path_); }

 private:
  std::filesystem::path path_;
  std::vector<float> elements_;
};

template <hone::format Stored>
void read_weights(benchmark::State& state) {
  if (state.range(0) == 500 && benchmark::GetBenchmarkFilter().find("500") == std::string::npos)
    return state.SkipWithError("runs with --benchmark_filter=MB:500");
  weights model(static_cast<std::size_t>(state.range(0)), Stored);
  std::vector<char> memory(model.bytes());
  against_roof(state, static_cast<double>(model.bytes()), [&] { model.read(); }, [&] { model.read_plainly(memory); });
}

/// bfloat16 in cache-missing memory to float: the roof is a copy of as many bytes, read and written.
void convert_weights(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<hone::bfloat16> stored(count, hone::bfloat16(1.5f));
  std::vector<float> elements(count), other(count);
  const hone::io::element_type type{"BF16", hone::io::element_kind::bfloat16, 1, 16};
  const hone::io::stored_tensor t{"t", &type,  {static_cast<hone::index_t>(count)}, std::as_bytes(std::span(stored)),
                                  0,   nullptr};
  const std::size_t bytes = 6 * count;
  const auto convert = [&] {
    hone::io::copy_elements(t, std::span<float>(elements));
    benchmark::ClobberMemory();
  };
  const auto copy = [&] {
    std::memcpy(other.data(), elements.data(), bytes / 2);
    benchmark::ClobberMemory();
  };
  against_roof(state, static_cast<double>(bytes), convert, copy);
}

BENCHMARK(read_weights<hone::format::float32>)
    ->Name("read_weights_f32")
    ->ArgName("MB")
    ->Arg(40)
    ->Arg(500)
    ->UseManualTime();
BENCHMARK(read_weights<hone::format::bfloat16>)
    ->Name("read_weights_bf16")
    ->ArgName("MB")
    ->Arg(40)
    ->Arg(500)
    ->UseManualTime();
BENCHMARK(convert_weights)->Name("convert_weights_bf16")->ArgName("elements")->Arg(1 << 24)->UseManualTime();

}  // namespace
