// Columns of text for people to read.
#pragma once

#include <string>
#include <vector>

namespace tool {

class Table {
 public:
  // Every row starts with `indent` spaces.
  explicit Table(size_t indent = 0) : indent_(indent) {}

  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // Columns as wide as their widest cell, two spaces apart; the last one runs on.
  std::string text() const;

 private:
  size_t indent_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tool
