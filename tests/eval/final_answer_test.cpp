// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/eval/final_answer.hpp"

#include "support/catch.hpp"

using namespace hone::eval;

TEST_CASE("final answer: the last number of a text, in one spelling") {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""},
      {"no number", ""},
      {"18", "18"},
      {"It is 18.", "18"},
      {"3 and 4 make 7 apples", "7"},
      {"so 16-3-4=9", "9"},
      {"16-3", "3"},
      {"16 - 3", "3"},
      {"x = -3", "-3"},
      {"(-3)", "-3"},
      {"\xe2\x88\x92"
       "3 degrees",
       "-3"},
      {"+3", "3"},
      {"$-3", "-3"},
      {"-$3", "-3"},
      {"a)-3", "3"},
      {"costs \\$1,234.50 in all", "1234.5"},
      {"1,234,567", "1234567"},
      {"1,23", "23"},
      {"12,3456", "3456"},
      {"1234,567", "567"},
      {"3, 400", "400"},
      {"0018.500", "18.5"},
      {"18.00", "18"},
      {".50", "0.5"},
      {"-0.0", "0"},
      {"0", "0"},
      {"100", "100"},
      {"1.2.3", "0.3"},
      {"25%", "25"},
      {"the 1st of 2 tries", "2"},
      {"it takes 5km", "5"},
      {"US$5", "5"},
      {"a 9e", "9"},
      {"about 1e5", ""},
      {"about 1.5E-3", ""},
      {"1e5 7", "7"},
      {"1e+5x", ""},
      {"1{,}234", "1234"},
      {"1\\,234\\,567.5", "1234567.5"},
      {"1,234,5", "5"},
      {"7 at x2", "7"},
      {"7 of v_2", "7"},
      {"123456789012345678901234567890", "123456789012345678901234567890"},
      {"5 #### 6 or 7\n8", "7"},
      {"#### 6\n#### 7\nthat is 8", "7"},
      {"####\n18", "18"},
      {"####", ""},
      {"so \\boxed{42}, not 43", "42"},
      {"\\boxed{1} then \\boxed{\\text{about } 2} 3", "2"},
      {"\\boxed{x^{2} = 9} 3", "9"},
      {"\\boxed{12", "12"},
      {"\\boxed{1} #### 2", "2"},
      {"\\boxed{} 3", ""},
      {"a5 z5 A5 Z5 m5", ""},
      {"`5", "5"},
      {"{6", "6"},
      {"@7", "7"},
      {"[8", "8"},
      {"~9", "9"},
      {"123,456", "123456"},
      {"1,234 567", "567"},
      {"1,234x567", "1234"},
      {"1,2x3", "2"},
      {"1,x23", "1"},
      {"1,23x", "23"},
      {"5.e3", "5"},
      {"no. idea", ""},
      {"3-5", "5"},
      {"3 -5", "-5"},
      {"5%-4", "4"},
      {"x}-4", "4"},
      {"a[1]-4", "4"},
      {"z-4", "4"},
      {"7 .5", "0.5"},
  };
  for (const auto& [text, answer] : cases) {
    INFO(text);
    CHECK(final_answer(text, true) == answer);
  }
}

TEST_CASE("final answer: nothing is read before a text or after it") {
  const auto inside = [](std::string_view text, std::size_t begin, std::size_t size) {
    return final_answer(text.substr(begin, size), true);
  };
  CHECK(inside("1234", 0, 2) == "12");
  CHECK(inside("12.5", 0, 2) == "12");
  CHECK(inside("12.5", 0, 3) == "12");
  CHECK(inside("12.54", 0, 4) == "12.5");
  CHECK(inside(".5", 0, 1) == "");
  CHECK(inside("1,2345", 0, 5) == "1234");
  CHECK(inside("5e3", 0, 1) == "5");
  CHECK(inside("5e3", 0, 2) == "5");
  CHECK(inside("x5", 1, 1) == "5");
  CHECK(inside("3-5", 1, 2) == "-5");
}

TEST_CASE("final answer: a text that is to be no number is compared as it stands") {
  CHECK(final_answer("I think\n it is Paris ", false) == "it is Paris");
  CHECK(final_answer("#### Paris \n done", false) == "Paris");
  CHECK(final_answer("\\boxed{3/4}", false) == "3/4");
  CHECK(final_answer("", false).empty());
}

TEST_CASE("final answer: what a solution wants, and what answers it") {
  const auto score = [](const char* solution, const char* response) {
    return score_answer(expected_in(solution), response);
  };
  CHECK(expected_in("so 3 * 6\n#### 1,018.50").text == "1018.5");
  for (const char* five : {"5", "+5", "$5", "\\$5", "+$5", "$+5", "+\\$5", "5%", "5\\%", "5."}) {
    INFO(five);
    CHECK(expected_in(five).text == "5");
    CHECK(expected_in(five).number);
  }
  for (const char* less : {"-5", "\u22125", "$-5", "-$5", "-\\$5"}) {
    INFO(less);
    CHECK(expected_in(less).text == "-5");
    CHECK(expected_in(less).number);
  }
  CHECK(expected_in("\\$-5").text == "-5");
  CHECK(expected_in("\\$-5").number);
  for (const char* other : {"5 apples", "about 5", "+-5", "$-$5", "\\$-\\$5", "5.%", "5 6", "5 %"}) {
    INFO(other);
    CHECK_FALSE(expected_in(other).number);
    CHECK(expected_in(other).text == other);
  }
  CHECK_FALSE(expected_answer().number);
  CHECK(expected_in(" \n").text.empty());
  CHECK(score("18", "that makes 18.0") == 1);
  CHECK(score("18", "that makes 18.01") == 0);
  CHECK(score("18", "-18") == 0);
  CHECK(score("18", "18 or 19") == 0);
  CHECK(score("18", "") == 0);
  CHECK(score("0.5", "1/2 is .50") == 1);
  CHECK(score("Paris", "In\nParis") == 1);
  CHECK(score("Paris", "In Paris") == 0);
  CHECK(score("Paris", "#### Paris") == 1);
  CHECK(score("3/4", "\\boxed{3/4}") == 1);
  CHECK(score("3/4", "4") == 0);
}
