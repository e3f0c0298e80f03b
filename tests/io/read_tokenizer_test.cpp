// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/read_tokenizer.hpp"

#include "io/support.hpp"
#include "io/tokenizer_bin_reference.hpp"

using namespace hone::io;

TEST_CASE("a tokenizer is read from either file, for a model of its size") {
  const std::filesystem::path json = std::filesystem::path(__FILE__).parent_path() / "golden/llama2.json";
  const hone::index_t vocab = read_tokenizer(json).vocab();
  CHECK(vocab == 561);
  CHECK(read_tokenizer(json, vocab).vocab() == vocab);
  CHECK(read_tokenizer(json, vocab + 100).vocab() == vocab);  // models are padded
  CHECK_THROWS_WITH(read_tokenizer(json, vocab - 1), Catch::Contains("561 tokens, the model has 560"));

  const scratch_folder folder;
  atomic_file file(folder.path / "tokenizer.bin");
  file.write(tokenizer_bytes({{"<unk>", 0}, {"<s>", 0}, {"</s>", 0}, {"a", 0}}));
  file.commit();
  CHECK(read_tokenizer(folder.path / "tokenizer.bin").vocab() == 4);
  CHECK(read_tokenizer(folder.path / "tokenizer.bin", 4).piece(3) == "a");
  CHECK_THROWS_AS(read_tokenizer(folder.path / "tokenizer.bin", 5), format_error);
  CHECK_THROWS_AS(read_tokenizer(folder.path / "absent.json"), std::system_error);
  CHECK_THROWS_AS(read_tokenizer(folder.path / "absent.bin"), std::system_error);
}
