// Draws curves over epochs as a PNG with cairo: axes with round ticks, a grid, a legend.
#pragma once

#include <cairo.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

struct Curve {
  std::string name;
  double red, green, blue;
  std::vector<double> x, y;
};

class Plot {
 public:
  Plot(std::string title, std::string x_label, std::string y_label)
      : title_(std::move(title)), x_label_(std::move(x_label)), y_label_(std::move(y_label)) {}
  void add(Curve c) { curves_.push_back(std::move(c)); }

  void save(const std::string& path) {
    find_range();
    cairo_surface_t* surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, kWidth, kHeight);
    cr_ = cairo_create(surface);
    cairo_set_source_rgb(cr_, 1, 1, 1);
    cairo_paint(cr_);
    cairo_select_font_face(cr_, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    grid();
    for (const Curve& c : curves_) draw(c);
    legend();
    const cairo_status_t status = cairo_surface_write_to_png(surface, path.c_str());
    cairo_destroy(cr_);
    cairo_surface_destroy(surface);
    if (status != CAIRO_STATUS_SUCCESS)
      throw std::runtime_error(path + ": " + cairo_status_to_string(status));
  }

 private:
  static constexpr int kWidth = 800, kHeight = 500;
  static constexpr double kLeft = 80, kRight = 30, kTop = 50, kBottom = 60;

  // 1, 2 or 5 times a power of ten, about `count` of them over the range.
  static double step(double range, int count) {
    const double raw = range / count, power = std::pow(10, std::floor(std::log10(raw)));
    const double f = raw / power;
    return power * (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10);
  }
  void find_range() {
    x0_ = y0_ = 1e300;
    x1_ = y1_ = -1e300;
    for (const Curve& c : curves_)
      for (size_t i = 0; i < c.x.size(); ++i) {
        x0_ = std::min(x0_, c.x[i]);
        x1_ = std::max(x1_, c.x[i]);
        y0_ = std::min(y0_, c.y[i]);
        y1_ = std::max(y1_, c.y[i]);
      }
    if (x0_ > x1_) throw std::runtime_error("plot: no points");
    if (x1_ - x0_ < 1) x1_ = x0_ + 1;
    if (y1_ - y0_ < 1e-9) y1_ = y0_ + 1;
    y_step_ = step(y1_ - y0_, 6);
    y0_ = std::floor(y0_ / y_step_) * y_step_;
    y1_ = std::ceil(y1_ / y_step_) * y_step_;
    x_step_ = std::max(1.0, step(x1_ - x0_, 10));
  }
  double px(double x) const { return kLeft + (x - x0_) / (x1_ - x0_) * (kWidth - kLeft - kRight); }
  double py(double y) const {
    return kHeight - kBottom - (y - y0_) / (y1_ - y0_) * (kHeight - kTop - kBottom);
  }
  // Text with its anchor at a fraction of its width left of x.
  void text(const std::string& s, double x, double y, double size, double anchor) {
    cairo_set_font_size(cr_, size);
    cairo_text_extents_t e;
    cairo_text_extents(cr_, s.c_str(), &e);
    cairo_move_to(cr_, x - anchor * e.width - e.x_bearing, y);
    cairo_show_text(cr_, s.c_str());
  }
  void line(double xa, double ya, double xb, double yb) {
    cairo_move_to(cr_, xa, ya);
    cairo_line_to(cr_, xb, yb);
    cairo_stroke(cr_);
  }
  static std::string label(double v) {
    char s[32];
    std::snprintf(s, sizeof s, "%.6g", std::fabs(v) < 1e-12 ? 0.0 : v);
    return s;
  }
  void grid() {
    cairo_set_line_width(cr_, 1);
    for (double y = y0_; y <= y1_ + y_step_ / 2; y += y_step_) {
      cairo_set_source_rgb(cr_, 0.88, 0.88, 0.88);
      line(kLeft, py(y), kWidth - kRight, py(y));
      cairo_set_source_rgb(cr_, 0.25, 0.25, 0.25);
      text(label(y), kLeft - 10, py(y) + 5, 14, 1);
    }
    for (double x = std::ceil(x0_ / x_step_) * x_step_; x <= x1_ + 1e-9; x += x_step_) {
      cairo_set_source_rgb(cr_, 0.88, 0.88, 0.88);
      line(px(x), kTop, px(x), kHeight - kBottom);
      cairo_set_source_rgb(cr_, 0.25, 0.25, 0.25);
      text(label(x), px(x), kHeight - kBottom + 22, 14, 0.5);
    }
    cairo_set_source_rgb(cr_, 0.25, 0.25, 0.25);
    cairo_rectangle(cr_, kLeft, kTop, kWidth - kLeft - kRight, kHeight - kTop - kBottom);
    cairo_stroke(cr_);
    text(title_, kWidth / 2.0, kTop - 18, 18, 0.5);
    text(x_label_, (kLeft + kWidth - kRight) / 2, kHeight - 14, 15, 0.5);
    cairo_save(cr_);
    cairo_translate(cr_, 24, (kTop + kHeight - kBottom) / 2);
    cairo_rotate(cr_, -std::acos(0.0));
    text(y_label_, 0, 0, 15, 0.5);
    cairo_restore(cr_);
  }
  void draw(const Curve& c) {
    cairo_set_source_rgb(cr_, c.red, c.green, c.blue);
    cairo_set_line_width(cr_, 2.5);
    cairo_new_path(cr_);  // text leaves a point behind
    for (size_t i = 0; i < c.x.size(); ++i) cairo_line_to(cr_, px(c.x[i]), py(c.y[i]));
    cairo_stroke(cr_);
    for (size_t i = 0; i < c.x.size() && c.x.size() < 40; ++i) {
      cairo_arc(cr_, px(c.x[i]), py(c.y[i]), 4, 0, 4 * std::acos(0.0));
      cairo_fill(cr_);
    }
  }
  void legend() {
    double y = kTop + 24;
    for (const Curve& c : curves_) {
      cairo_set_source_rgb(cr_, c.red, c.green, c.blue);
      cairo_set_line_width(cr_, 2.5);
      line(kWidth - kRight - 190, y - 5, kWidth - kRight - 160, y - 5);
      cairo_set_source_rgb(cr_, 0.25, 0.25, 0.25);
      text(c.name, kWidth - kRight - 150, y, 15, 0);
      y += 24;
    }
  }

  std::string title_, x_label_, y_label_;
  std::vector<Curve> curves_;
  double x0_, x1_, y0_, y1_, x_step_, y_step_;
  cairo_t* cr_ = nullptr;
};
