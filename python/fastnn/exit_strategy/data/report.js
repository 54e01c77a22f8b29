"use strict";
(function () {
  var pages = Array.prototype.slice.call(document.querySelectorAll(".page"));
  var tabs = Array.prototype.slice.call(document.querySelectorAll(".tab"));
  function show() {
    var id = location.hash.slice(1);
    if (id !== "all" && !pages.some(function (p) { return p.id === id; })) { id = "founder"; }
    pages.forEach(function (p) { p.hidden = id !== "all" && p.id !== id; p.style.display = p.hidden ? "none" : ""; });
    document.querySelectorAll("figure.scroll").forEach(function (f) {
      var now = f.querySelector(".node.now");
      if (now && f.scrollWidth > f.clientWidth) {
        f.scrollLeft += now.getBoundingClientRect().left - f.getBoundingClientRect().left - f.clientWidth / 3;
      }
    });
    tabs.forEach(function (t) {
      var on = t.getAttribute("href") === "#" + id;
      t.classList.toggle("on", on);
      if (on) { t.setAttribute("aria-current", "page"); t.parentNode.scrollLeft = t.offsetLeft - 40; } else { t.removeAttribute("aria-current"); }
    });
  }
  window.addEventListener("hashchange", function () { show(); window.scrollTo(0, 0); });
  window.addEventListener("beforeprint", function () {
    pages.forEach(function (p) { p.hidden = false; p.style.display = ""; });
    document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  });
  window.addEventListener("afterprint", show);
  show();
  window.addEventListener("load", function () { setTimeout(function () { window.scrollTo(0, 0); }, 0); });
  var units = { k: 1e3, m: 1e6, bn: 1e9, "万": 1e4, "亿": 1e8 };
  function number(words) {
    var found = words.replace(/,/g, "").match(/(-?[\d.]+)\s*(bn|k|m|万|亿)?/);
    return found ? parseFloat(found[1]) * (units[found[2]] || 1) : NaN;
  }
  document.querySelectorAll("table.sortable th").forEach(function (th) {
    th.tabIndex = 0;
    function sort() {
      var row = th.parentNode, body = th.closest("table").tBodies[0];
      var column = Array.prototype.indexOf.call(row.children, th);
      var down = th.getAttribute("aria-sort") === "ascending";
      Array.prototype.forEach.call(row.children, function (o) { o.removeAttribute("aria-sort"); });
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      Array.prototype.slice.call(body.rows).sort(function (a, b) {
        var x = a.cells[column].textContent, y = b.cells[column].textContent;
        var d = th.classList.contains("num") ? number(x) - number(y) : x.localeCompare(y);
        return (isNaN(d) ? 0 : d) * (down ? -1 : 1);
      }).forEach(function (r) { body.appendChild(r); });
    }
    th.addEventListener("click", sort);
    th.addEventListener("keydown", function (e) { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); sort(); } });
  });
})();
