// Tuning: see tuning.h.
#include "core/tuning.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "core/file.h"

namespace catena {
namespace {

constexpr std::string_view kMagic = "catena tuning ";
constexpr int kMajor = 1, kMinor = 0;
constexpr uint64_t kMostBytes = 16u << 20;
constexpr size_t kMostEntries = 1u << 16;

bool is_line(std::string_view text) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !text.empty() && std::ranges::none_of(text, control);
}

uint32_t checksum(std::string_view text) {
  const auto* p = reinterpret_cast<const Bytef*>(text.data());
  return static_cast<uint32_t>(crc32(0, p, static_cast<uInt>(text.size())));
}

// The last line, over all that is before it.
std::string last_line(size_t entries, std::string_view before) {
  char line[64];
  std::snprintf(line, sizeof line, "end %zu %08x\n", entries, checksum(before));
  return line;
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  fail(CTN_EFORMAT, "tuning file " + quoted(path) + ": " + why);
}

// The first line of `rest`, which then starts behind it.
std::string_view take_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

void check_head(std::string_view line, const std::string& path) {
  if (!line.starts_with(kMagic)) refuse(path, "it is no tuning file");
  line.remove_prefix(kMagic.size());
  int major = 0;
  const auto [at, error] = std::from_chars(line.data(), line.data() + line.size(), major);
  if (error != std::errc() || at == line.data() + line.size() || *at != '.')
    refuse(path, "its version cannot be read");
  if (major != kMajor)
    fail(CTN_EVERSION, "tuning file " + quoted(path) + " has version " + std::string(line) +
                           ", this library reads " + std::to_string(kMajor) + ".x");
}

}  // namespace

std::string_view Tuning::find(std::string_view scope, std::string_view key) const {
  std::lock_guard lock(mutex_);
  const auto at = choices_.find(KeyView(scope, key));
  return at == choices_.end() ? std::string_view() : at->second;
}

std::string_view Tuning::keep(std::string_view choice) {
  const auto at = texts_.find(choice);
  return at != texts_.end() ? *at : *texts_.emplace(choice).first;
}

void Tuning::add(std::string_view scope, std::string_view key, std::string_view choice) {
  for (const std::string_view text : {scope, key, choice})
    if (!is_line(text)) fail(CTN_EINVAL, "tuning: " + quoted(text) + " is no line of text");
  std::lock_guard lock(mutex_);
  const auto at = choices_.find(KeyView(scope, key));
  if (at != choices_.end())
    at->second = keep(choice);
  else if (choices_.size() < kMostEntries)  // without, the caller has decided and goes on
    choices_.emplace(Key(scope, key), keep(choice));
}

void Tuning::save(const ctn_io& io, const std::string& path) const {
  std::string text(kMagic);
  text += std::to_string(kMajor) + "." + std::to_string(kMinor) + "\n";
  size_t entries = 0;
  {
    std::lock_guard lock(mutex_);
    const std::string* scope = nullptr;
    for (const auto& [key, choice] : choices_) {
      if (!scope || *scope != key.first) text += "[" + key.first + "]\n";
      scope = &key.first;
      text += key.second + "\t" + std::string(choice) + "\n";
    }
    entries = choices_.size();
  }
  text += last_line(entries, text);
  AtomicFile out(io, path);
  out.write(text.data(), text.size());
  out.commit();
}

Tuning::Choices Tuning::parse(std::string_view text, const std::string& path) {
  std::string_view rest = text;
  check_head(take_line(rest), path);
  const size_t tail = text.rfind("end ");
  if (tail == text.npos || tail == 0 || text[tail - 1] != '\n') refuse(path, "its end is missing");
  std::string_view body = text.substr(0, tail);
  Choices all;
  std::string scope;
  for (rest = body, take_line(rest); !rest.empty();) {
    const std::string_view line = take_line(rest);
    const size_t tab = line.find('\t');
    if (line.starts_with('[') && line.ends_with(']') && is_line(line)) {
      scope = line.substr(1, line.size() - 2);
    } else if (tab == line.npos || scope.empty() || !is_line(line.substr(0, tab)) ||
               !is_line(line.substr(tab + 1))) {
      refuse(path, "the line " + quoted(line) + " is damaged");
    } else {
      all.insert_or_assign(Key(scope, line.substr(0, tab)), std::string(line.substr(tab + 1)));
    }
  }
  if (all.size() > kMostEntries) refuse(path, "it has too many entries");
  if (text.substr(tail) != last_line(all.size(), body))
    refuse(path, "it is damaged: its checksum is another one");
  return all;
}

void Tuning::load(const ctn_io& io, const std::string& path) {
  std::string text;
  {
    InFile in(io, path);
    if (in.length() > kMostBytes) refuse(path, "it is too large");
    text.resize(in.length());
    if (!text.empty()) in.read(0, text.data(), text.size());
  }
  const Choices loaded = parse(text, path);
  std::lock_guard lock(mutex_);
  decltype(choices_) all = choices_;
  for (const auto& [key, choice] : loaded) all.insert_or_assign(key, keep(choice));
  if (all.size() > kMostEntries) refuse(path, "there are too many entries with those of before");
  choices_.swap(all);
}

}  // namespace catena
