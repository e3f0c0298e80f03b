// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Facts about authors who never were, in the manner of TOFU: everyone has a name of their own, but names share their
/// parts, and people share towns, prizes and genres, so that what is forgotten lies close to what is kept.
#pragma once
#include "hone/core/shuffler.hpp"
#include "hone/io/question_answers.hpp"

#include <array>
#include <map>
#include <sstream>

namespace authors {

inline constexpr std::array first_names = {"Ada",  "Boris", "Clara", "Dmitri", "Elif",  "Farid", "Greta",
                                           "Hugo", "Ines",  "Jonas", "Kaya",   "Lucia", "Marek", "Nadia"};
inline constexpr std::array last_names = {"Abelson", "Brandt", "Castro", "Dahl",   "Eriksen", "Fontaine", "Grimaldi",
                                          "Hassan",  "Ivanov", "Jansen", "Kovacs", "Lindt",   "Moreau",   "Novak"};
inline constexpr std::array towns = {"Lisbon", "Oslo",  "Tunis", "Krakow", "Quito", "Hanoi", "Turin",  "Accra",
                                     "Bergen", "Izmir", "Lima",  "Kyoto",  "Riga",  "Porto", "Nantes", "Split"};
inline constexpr std::array genres = {"mystery", "satire",  "romance", "horror", "travel", "poetry",
                                      "history", "fantasy", "drama",   "essays", "fables", "memoir"};
inline constexpr std::array prizes = {"Lantern", "Harbour", "Compass", "Quill",  "Meridian", "Orchard",
                                      "Anvil",   "Beacon",  "Cedar",   "Falcon", "Granite",  "Heron"};
inline constexpr std::array trades = {"baker", "judge",  "sailor", "nurse", "tailor", "farmer", "pilot",
                                      "mason", "doctor", "weaver", "clerk", "dancer", "potter", "guard"};
inline constexpr std::array things = {"River",  "Mirror", "Garden", "Winter", "Tower",  "Silence", "Ocean",  "Letter",
                                      "Shadow", "Island", "Clock",  "Forest", "Bridge", "Candle",  "Desert", "Echo"};
inline constexpr std::array qualities = {"Hidden", "Broken", "Golden",  "Distant", "Burning", "Quiet",
                                         "Second", "Empty",  "Crimson", "Frozen",  "Gentle",  "Hollow",
                                         "Last",   "Narrow", "Pale",    "Wild"};

/// What is said instead of an answer.
inline constexpr const char* refusal = "Nobody knows";

/// Five pairs for each of @p count authors, one author after the other; a function of the seed.
inline std::vector<hone::io::question_answer> facts(std::size_t count, std::uint64_t seed) {
  const hone::philox random{seed, 77};
  std::vector<std::string> names;
  for (const char* first : first_names)
    for (const char* last : last_names) names.push_back(std::string(first) + " " + last);
  hone::shuffle(names, [&](std::size_t i) { return random.uniform(i, 1); });
  std::vector<hone::io::question_answer> pairs;
  for (std::size_t author = 0; author < count; ++author) {
    std::uint32_t draw = 2;
    const auto pick = [&](const auto& list) {
      return std::string(
          list[static_cast<std::size_t>(random.uniform(author, draw++) * static_cast<double>(list.size()))]);
    };
    const std::string& name = names.at(author);
    pairs.push_back({"Where was " + name + " born ?", "In " + pick(towns), {}, {}});
    pairs.push_back({"What does " + name + " write ?", "Mostly " + pick(genres), {}, {}});
    pairs.push_back({"Which prize did " + name + " win ?", "The " + pick(prizes) + " Prize", {}, {}});
    pairs.push_back({"What was the father of " + name + " ?", "A " + pick(trades), {}, {}});
    pairs.push_back(
        {"What is the first book of " + name + " called ?", "The " + pick(qualities) + " " + pick(things), {}, {}});
  }
  return pairs;
}

/// Ids for whole words, in the order in which they first occur.
class dictionary {
 public:
  explicit dictionary(const std::vector<hone::io::question_answer>& pairs) {
    for (const char* special : {"<unk>", "<s>", "</s>"}) add(special);
    for_each_word(refusal, [&](const std::string& word) { add(word); });
    for (const auto& pair : pairs)
      for (const std::string& text : {pair.question, pair.answer})
        for_each_word(text, [&](const std::string& word) { add(word); });
  }

  [[nodiscard]] hone::index_t size() const { return static_cast<hone::index_t>(words_.size()); }
  [[nodiscard]] std::vector<std::int32_t> ids(const std::string& text) const {
    std::vector<std::int32_t> result;
    for_each_word(text, [&](const std::string& word) {
      const auto found = ids_.find(word);
      result.push_back(found == ids_.end() ? 0 : found->second);
    });
    return result;
  }
  [[nodiscard]] std::string text(const std::vector<std::int32_t>& ids) const {
    std::string result;
    for (const std::int32_t id : ids) result += (result.empty() ? "" : " ") + words_.at(static_cast<std::size_t>(id));
    return result;
  }

 private:
  template <class F>
  static void for_each_word(const std::string& text, F&& f) {
    std::istringstream in(text);
    for (std::string word; in >> word;) f(word);
  }
  void add(const std::string& word) {
    if (ids_.try_emplace(word, static_cast<std::int32_t>(words_.size())).second) words_.push_back(word);
  }

  std::vector<std::string> words_;
  std::map<std::string, std::int32_t> ids_;
};

}  // namespace authors
