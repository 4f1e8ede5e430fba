"use strict";
// The page of one network.
(() => {
  const { certify, disagreements, item, task, title } = Page.data();
  const root = document.getElementById("page");
  const warning = disagreements.length
    ? Page.element("div", { class: "warning", role: "alert" }, Page.element("strong", {}, "The file states what does not hold"),
      Page.element("ul", {}, disagreements.map((text) => Page.element("li", {}, text))))
    : null;
  root.replaceChildren(Page.head(title, `Network ${item.name}`), ...(warning ? [warning] : []));
  Network.open(root, item, task);
  root.append(Page.element("div", { class: "again" }, Page.element("h3", {}, "To evaluate it again"), Page.element("pre", {}, certify)));
})();
