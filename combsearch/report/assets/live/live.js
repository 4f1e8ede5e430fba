"use strict";
// The page of a run that is served: asks its server for the run's data and shows them when they are others.
const Live = (() => {
  const SECONDS = 3;
  const SLOWEST_SECONDS = 15;
  const FINISHED_SECONDS = 30; // a finished run can still be continued
  const PATIENCE_SECONDS = 120; // of a large run the first reading takes long
  const line = Page.element("p", { class: "live" },
    Page.element("span", { class: "dot", "aria-hidden": "true" }), Page.element("span", { class: "said" }));
  let state = "";
  let known = ""; // the data that are shown, as a text
  let finished = false;
  let tag = "";
  let changed = "";
  let unchanged = 0;
  let timer = 0;
  let asking = false;

  /** The line below the head, put back where the page has been drawn anew. */
  function show(next, text, heard = text) {
    if (!line.isConnected) document.querySelector(".head").after(line);
    line.dataset.state = next;
    line.lastChild.textContent = text;
    if (next !== state && state !== "") Page.announce(heard); // not every change of the data
    state = next;
  }

  function showWell() {
    const word = finished ? "finished" : "live";
    show(word, changed ? `${word}, last change ${changed}` : word);
  }

  /** Show data, if they are new; whether they are. */
  function take(data) {
    const text = JSON.stringify(data);
    if (text === known) return false;
    Run.update(data);
    known = text;
    finished = data.finished;
    changed = new Date().toLocaleTimeString("en-GB");
    return true;
  }

  /** Ask once; whether there was something new. */
  async function ask() {
    const answer = await fetch("data.json", {
      headers: tag ? { "If-None-Match": tag } : {},
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_SECONDS * 1000),
    });
    if (answer.status === 503) {
      const words = "the run cannot be read, trying again";
      show("broken", `${words}: ${(await answer.json()).error}`, words);
      return false;
    }
    if (answer.status !== 304 && !answer.ok) throw new Error(`${answer.status}`);
    const isNew = answer.ok && take(await answer.json());
    tag = answer.headers.get("ETag");
    showWell();
    return isNew;
  }

  async function poll() {
    if (asking || document.hidden) return; // it goes on when the page is seen again
    asking = true;
    clearTimeout(timer);
    try {
      unchanged = (await ask()) ? 0 : unchanged + 1;
    } catch {
      show("lost", "connection lost, trying again");
    }
    asking = false;
    timer = setTimeout(poll, pause() * 1000);
  }

  /** Seconds to the next question: more of them while nothing changes. */
  function pause() {
    if (state === "finished") return FINISHED_SECONDS;
    return Math.min(SLOWEST_SECONDS, SECONDS + Math.max(0, unchanged - 10));
  }

  function begin() {
    const data = Page.data();
    known = JSON.stringify(data);
    finished = data.finished;
    showWell();
    document.addEventListener("visibilitychange", poll);
    timer = setTimeout(poll, SECONDS * 1000);
  }

  return { begin };
})();
Live.begin();
