// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// JSON of files that may be hostile, for every reader: nlohmann's parser, with the byte of every token, a limit on
/// nesting, and keys that may appear once in an object.
#pragma once
#include "hone/io/file.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

namespace HONE_NAMESPACE::io {

/// One token of a JSON text.
struct json_event {
  enum class kind {
    null,
    boolean,
    negative,
    whole,
    real,
    string,
    key,
    begin_object,
    end_object,
    begin_array,
    end_array
  };
  kind is;
  std::uint64_t at = 0;     ///< its first byte
  std::size_t depth = 0;    ///< objects and arrays around it
  std::uint64_t whole = 0;  ///< of a number that is written without sign, fraction and exponent; 1 of true
  std::int64_t negative = 0;
  double real = 0;              ///< of every number
  std::string* text = nullptr;  ///< of a string or key, which may be moved from
};

namespace detail {

/// Where the parser is; all copies are in one place.
struct json_cursor {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char** at;

  reference operator*() const { return **at; }
  json_cursor& operator++() { return ++*at, *this; }
  friend bool operator==(json_cursor x, json_cursor y) { return *x.at == *y.at; }
  friend bool operator!=(json_cursor x, json_cursor y) { return *x.at != *y.at; }
};

/// nlohmann's events, one function each, as json_event. No template: the parser is instantiated once.
struct json_adapter {
  using kind = json_event::kind;

  std::string_view text;
  const char* now;       // after the token
  const char* previous;  // after the one before
  std::uint64_t first;
  std::size_t most_depth;
  const std::string& file;
  void* handler;
  void (*handle)(void* handler, const json_event&);
  std::size_t depth = 0;
  std::vector<std::set<std::string, std::less<>>> keys = {};  // of the open objects

  void fail(std::uint64_t at, const std::string& reason) const {
    throw format_error(file, {position::unit::byte, first + at}, reason);
  }
  bool hand_on(json_event event) {
    while (previous != now && std::string_view(" \t\r\n,:").find(*previous) != std::string_view::npos) ++previous;
    const auto at = static_cast<std::uint64_t>(previous - text.data());
    const bool number = event.is == kind::negative || event.is == kind::whole || event.is == kind::real;
    previous = now - (number ? 1 : 0);  // a number ends where the next character was looked at
    if (event.is == kind::end_object || event.is == kind::end_array) --depth;
    event.at = first + at;
    event.depth = depth;
    if (event.is == kind::begin_object || event.is == kind::begin_array)
      if (++depth > most_depth) fail(at, "nested more than " + std::to_string(most_depth) + " deep");
    if (event.is == kind::begin_object) keys.emplace_back();
    if (event.is == kind::end_object) keys.pop_back();
    if (event.is == kind::key && !keys.back().insert(*event.text).second)
      fail(at, "the key \"" + *event.text + "\" appears twice");
    handle(handler, event);
    return true;
  }
  bool null() { return hand_on({.is = kind::null}); }
  bool boolean(bool x) { return hand_on({.is = kind::boolean, .whole = x ? 1u : 0u}); }
  bool number_integer(std::int64_t x) {
    return hand_on({.is = kind::negative, .negative = x, .real = static_cast<double>(x)});
  }
  bool number_unsigned(std::uint64_t x) {
    return hand_on({.is = kind::whole, .whole = x, .real = static_cast<double>(x)});
  }
  bool number_float(double x, const std::string&) { return hand_on({.is = kind::real, .real = x}); }
  bool string(std::string& x) { return hand_on({.is = kind::string, .text = &x}); }
  bool key(std::string& x) { return hand_on({.is = kind::key, .text = &x}); }
  bool binary(nlohmann::json::binary_t&) { return false; }  // no JSON text has it
  bool start_object(std::size_t) { return hand_on({.is = kind::begin_object}); }
  bool end_object() { return hand_on({.is = kind::end_object}); }
  bool start_array(std::size_t) { return hand_on({.is = kind::begin_array}); }
  bool end_array() { return hand_on({.is = kind::end_array}); }
  template <class Error>
  bool parse_error(std::size_t read, const std::string&, const Error& error) {
    const std::size_t at = read == 0 ? 0 : read - 1;
    const std::string_view rest = text.substr((std::min)(at, text.size()));
    const bool python = rest.starts_with("NaN") || rest.starts_with("Infinity");
    const bool overflow = std::string_view(error.what()).find("number overflow") != std::string_view::npos;
    fail(at, overflow ? "a number overflows"
             : python ? "not valid JSON: NaN and Infinity, as Python writes them, are no numbers"
                      : "not valid JSON");
    return false;
  }
};

inline void parse_json_events(std::string_view text, const std::string& file, std::uint64_t first,
                              std::size_t most_depth, void* handler, void (*handle)(void*, const json_event&)) {
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)  // where the parser would stop
    throw format_error(file, {position::unit::byte, first + nul}, "not valid JSON");
  const char* end = text.data() + text.size();
  const char* content = text.data() + (text.starts_with("\xef\xbb\xbf") ? 3 : 0);
  json_adapter adapter{text, text.data(), content, first, most_depth, file, handler, handle};
  nlohmann::json::sax_parse(json_cursor{&adapter.now}, json_cursor{&end}, &adapter);
}

}  // namespace detail

/// Hands the tokens of @p text to @p handler(const json_event&), in order; a byte-order mark is passed over. Byte 0 of
/// the text is byte @p first of @p file, as errors call it.
/// @throws format_error with the byte, if the text is not one JSON value, not UTF-8, nested deeper than @p most_depth,
///         or an object has a key twice; what the handler throws.
/// @note One pass; holds a token and the keys of the open objects at a time.
template <class Handler>
void parse_json_events(std::string_view text, const std::string& file, Handler&& handler, std::uint64_t first = 0,
                       std::size_t most_depth = 64) {
  using handler_type = std::remove_reference_t<Handler>;
  void* address = const_cast<void*>(static_cast<const void*>(std::addressof(handler)));
  detail::parse_json_events(text, file, first, most_depth, address,
                            [](void* h, const json_event& e) { (*static_cast<handler_type*>(h))(e); });
}

/// A JSON text as a tree.
struct json_document {
  nlohmann::json root;
  std::map<std::string, std::uint64_t, std::less<>> at;  ///< byte of the keys of two levels: "outer", "outer/inner"

  /// Where @p key is; nowhere if it is not there: for errors.
  [[nodiscard]] position where(std::string_view key) const {
    const auto found = at.find(key);
    return found == at.end() ? position() : position{position::unit::byte, found->second};
  }
};

/// Parses a text into a tree. @throws format_error as `parse_json_events`.
/// @note The tree takes up to 20 times the memory of the text: limit what is read.
inline json_document parse_json(std::string_view text, const std::string& file) {
  using kind = json_event::kind;
  json_document document;
  std::vector<nlohmann::json*> open;
  std::string outer, key;
  const auto add = [&](nlohmann::json value) -> nlohmann::json& {
    if (open.empty()) return document.root = std::move(value);
    if (open.back()->is_array()) {
      open.back()->push_back(std::move(value));
      return open.back()->back();
    }
    return (*open.back())[key] = std::move(value);
  };
  parse_json_events(text, file, [&](const json_event& e) {
    switch (e.is) {
      case kind::null: add(nullptr); break;
      case kind::boolean: add(e.whole != 0); break;
      case kind::negative: add(e.negative); break;
      case kind::whole: add(e.whole); break;
      case kind::real: add(e.real); break;
      case kind::string: add(std::move(*e.text)); break;
      case kind::begin_object: open.push_back(&add(nlohmann::json::object())); break;
      case kind::begin_array: open.push_back(&add(nlohmann::json::array())); break;
      case kind::end_object:
      case kind::end_array: open.pop_back(); break;
      case kind::key:
        key = std::move(*e.text);
        if (e.depth == 1) document.at.emplace(outer = key, e.at);
        if (e.depth == 2) document.at.emplace(outer + "/" + key, e.at);
        break;
    }
  });
  return document;
}

/// Reads and parses a file of at most @p most bytes. @throws std::system_error, format_error.
inline json_document read_json(const std::filesystem::path& path, std::uint64_t most = std::uint64_t{1} << 24) {
  const std::vector<std::byte> bytes = read_file(path, most);
  return parse_json(text_of(bytes), path.string());
}

}  // namespace HONE_NAMESPACE::io
