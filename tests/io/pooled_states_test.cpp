// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/pooled_states.hpp"

#include <limits>

#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

pooled_states read(std::span<const std::byte> bytes) {
  return pooled_states_of(parse_safetensors(bytes, "file"), "file");
}

/// Elements that every type holds: 0, 1/2, -1, 3/2, ….
std::vector<float> counted(index_t n) {
  std::vector<float> x;
  for (index_t i = 0; i < n; ++i) x.push_back((i % 2 == 0 ? -0.5f : 0.5f) * static_cast<float>(i));
  return x;
}
template <class T>
std::vector<T> stored_as(const std::vector<float>& x) {
  std::vector<T> result;
  for (const float v : x) result.push_back(from_accumulator<T>(v));
  return result;
}
tensor_bytes states(const std::string& shape, index_t n) {
  return {"hidden_states", "F32", shape, bytes_of(counted(n))};
}
template <class Id>
tensor_bytes ids(const std::vector<Id>& x) {
  return {"ids", sizeof(Id) == 8 ? "I64" : "I32", "[" + std::to_string(x.size()) + "]", bytes_of(x)};
}

/// Where the first element lies, and all of them in order.
std::pair<const void*, std::vector<float>> contents(const pooled_states& p) {
  return p.with([&]<class T>(const routing::states_view<const T>& x) {
    REQUIRE((x.samples() == p.samples && x.layers() == p.layers && x.width() == p.width));
    std::vector<float> values;
    for (index_t i = 0; i < x.samples(); ++i)
      for (index_t l = 0; l < x.layers(); ++l)
        for (index_t j = 0; j < x.width(); ++j) values.push_back(to_accumulator(x.sample(i)(l, j)));
    return std::pair<const void*, std::vector<float>>(x.sample(0).data(), values);
  });
}

template <class T>
bool is_stored_as(const pooled_states& p) {
  return p.with(
      [](const auto& x) { return std::is_same_v<typename std::remove_cvref_t<decltype(x)>::element_type, const T>; });
}

format_error error_of(const byte_vector& bytes) {
  const auto error = format_error_of([&] { read(bytes); });
  REQUIRE(error);
  CHECK(error->file() == "file");
  CHECK(std::string(error->what()).find('\n') == std::string::npos);
  return *error;
}

}  // namespace

TEST_CASE("pooled states are read where they lie, in every type") {
  const std::vector<float> x = counted(24);
  const auto check = [&]<class T>(T, const char* type) {
    const std::size_t spaces = 64;
    byte_vector bytes;
    for (std::size_t more = 0; more < 4; ++more) {  // one of four headers lets the states begin where they can
      bytes = safetensors_of({{"hidden_states", type, "[4,2,3]", bytes_of(stored_as<T>(x))}}, "", spaces + more);
      if ((bytes.size() - sizeof(T) * x.size()) % 4 == 0) break;
    }
    const pooled_states p = read(bytes);
    CHECK((p.samples == 4 && p.layers == 2 && p.width == 3 && p.name == "file"));
    CHECK((p.ids.empty() && !p.last && !p.tokens));
    CHECK(p.aligned.empty());
    CHECK(is_stored_as<T>(p));
    const auto [first, values] = contents(p);
    CHECK(first == bytes.data() + bytes.size() - sizeof(T) * x.size());
    CHECK(values == x);
  };
  check(float{}, "F32");
  check(float16{}, "F16");
  check(bfloat16{}, "BF16");
}

TEST_CASE("pooled states that begin where their type cannot are copied") {
  const scratch_folder folder;
  const auto path = folder.path / "states.safetensors";
  const std::vector<float> x = counted(24);
  const auto check = [&]<class T>(T, const char* type) {
    for (std::size_t spaces = 0; spaces < 4; ++spaces) {
      const byte_vector bytes = safetensors_of(
          {{"hidden_states", type, "[4,2,3]", bytes_of(stored_as<T>(x))}, ids<std::int64_t>({9, 8, 7, 6})}, "", spaces);
      write_bytes(path, bytes);
      pooled_states first = read_pooled_states(path);
      const pooled_states p = std::move(first);
      const std::uint64_t begin = find_tensor(p.file.tensors, "hidden_states")->offset;
      CHECK(p.aligned.size() == (begin % sizeof(T) == 0 ? 0 : sizeof(T) * x.size()));
      CHECK(contents(p).second == x);
      CHECK(reinterpret_cast<std::uintptr_t>(contents(p).first) % alignof(T) == 0);
      CHECK(p.ids == std::vector<std::string>{"9", "8", "7", "6"});
      CHECK(p.name == path.string());
    }
  };
  check(float{}, "F32");
  check(float16{}, "F16");
  check(bfloat16{}, "BF16");
}

TEST_CASE("the ids of pooled states are those of labels, in digits") {
  const std::int64_t least = (std::numeric_limits<std::int64_t>::min)();
  const std::int32_t narrow = (std::numeric_limits<std::int32_t>::min)();
  CHECK(read(safetensors_of({ids<std::int32_t>({0, -7, narrow}), states("[3,1,2]", 6)})).ids ==
        std::vector<std::string>{"0", "-7", "-2147483648"});
  CHECK(read(safetensors_of({ids<std::int64_t>({1000000007, least, 5}), states("[3,1,2]", 6)}, "", 1)).ids ==
        std::vector<std::string>{"1000000007", "-9223372036854775808", "5"});
  // Those who read the file pass over what else it holds.
  CHECK(read(safetensors_of({{"more", "U8", "[1]", byte_vector(1)}, states("[1,1,2]", 2)})).ids.empty());
}

TEST_CASE("pooled states say what they are, or do not") {
  const auto read_with = [](const std::string& metadata) {
    return read(safetensors_of({states("[1,1,2]", 2)}, metadata));
  };
  const pooled_states both = read_with(R"({"last_state":"vllm","tokens":"last","by":"anyone"})");
  CHECK(both.last == routing::last_state::before_norm);
  CHECK(both.tokens == routing::token_pooling::last);
  CHECK(read_with(R"({"last_state":"hugging_face"})").last == routing::last_state::after_norm);
  CHECK(!read_with(R"({"last_state":"hugging_face"})").tokens);
  CHECK(read_with(R"({"tokens":"mean"})").tokens == routing::token_pooling::mean);
  const auto refusal = [](const std::string& metadata) {
    const format_error error = error_of(safetensors_of({states("[1,1,2]", 2)}, metadata));
    CHECK(error.where().in == position::unit::none);
    return error.reason();
  };
  CHECK(refusal(R"({"last_state":"after_norm"})") == "\"last_state\" is \"after_norm\"");
  CHECK(refusal(R"({"last_state":"mean"})") == "\"last_state\" is \"mean\"");
  CHECK(refusal(R"({"tokens":""})") == "\"tokens\" is \"\"");
  CHECK(refusal(R"({"tokens":"mean\nlast"})") == "\"tokens\" is \"mean\\nlast\"");
}

TEST_CASE("pooled states that are none are refused with the reason") {
  CHECK(error_of(safetensors_of({})).reason() == "there is no tensor \"hidden_states\"");
  CHECK(error_of(safetensors_of({ids<std::int64_t>({1})})).reason() == "there is no tensor \"hidden_states\"");
  const auto refused = [](const byte_vector& bytes, const char* tensor, const std::string& reason) {
    const format_error error = error_of(bytes);
    CHECK(error.reason() == std::string("tensor \"") + tensor + "\": " + reason);
    CHECK(error.where().in == position::unit::byte);
  };
  const auto states_refused = [&](const tensor_bytes& t, const std::string& reason) {
    refused(safetensors_of({t}), "hidden_states", reason);
  };
  states_refused(states("[6,4]", 24), "has 2 axes, must be samples x layers x width");
  states_refused(states("[]", 1), "has 0 axes, must be samples x layers x width");
  states_refused(states("[3,2,2,2]", 24), "has 4 axes, must be samples x layers x width");
  for (const char* shape : {"[0,2,4]", "[3,0,4]", "[3,2,0]", "[0,0,0]", "[0,4611686018427387904,4611686018427387904]"})
    states_refused(states(shape, 0), "has an empty axis");
  states_refused(states("[4611686018427387904,4,1]", 0), "the product of its shape overflows");
  states_refused(states("[4611686018427387904,1,1]", 0), "its size in bits overflows");
  states_refused({"hidden_states", "F64", "[1,1,1]", byte_vector(8)}, "is of type F64, must be F32, F16 or BF16");
  states_refused({"hidden_states", "I32", "[1,1,1]", byte_vector(4)}, "is of type I32, must be F32, F16 or BF16");
  states_refused({"hidden_states", "F8_E4M3", "[1,1,1]", byte_vector(1)},
                 "is of type F8_E4M3, must be F32, F16 or BF16");

  const auto ids_refused = [&](const tensor_bytes& t, const std::string& reason) {
    refused(safetensors_of({states("[3,2,4]", 24), t}), "ids", reason);
  };
  ids_refused(ids<std::int64_t>({1, 2}), "must be [3], one for each row of the states");
  ids_refused(ids<std::int64_t>({}), "must be [3], one for each row of the states");
  ids_refused({"ids", "I64", "[3,1]", byte_vector(24)}, "must be [3], one for each row of the states");
  ids_refused({"ids", "F32", "[3]", byte_vector(12)}, "is of type F32, must be I32 or I64");
  ids_refused({"ids", "U64", "[3]", byte_vector(24)}, "is of type U64, must be I32 or I64");
  ids_refused(ids<std::int32_t>({4, -1, 4}), "has 4 in rows 0 and 2");

  const byte_vector whole = safetensors_of({states("[3,2,4]", 24), ids<std::int32_t>({1, 2, 3})});
  for (std::size_t size = 0; size < whole.size(); ++size)
    REQUIRE(format_error_of([&] { read(std::span(whole).first(size)); }));
  const scratch_folder folder;
  CHECK_THROWS_AS(read_pooled_states(folder.path / "none"), std::system_error);
}
