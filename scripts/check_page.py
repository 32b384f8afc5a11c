#!/usr/bin/env python3
"""Goes through the search page in a real browser, and fails on anything that is not as it should be.

    cargo run --release -p truepair-serve --example fake -- 127.0.0.1:8000 &
    python3 scripts/check_page.py http://127.0.0.1:8000 [--shots FOLDER] [--token TOKEN]

The flows are written for the made-up gallery of that example. With `--words "a red dog"` those are gone through that any index
of pictures must stand whose captions are text, such as

    truepair demo --out demo; truepair train demo/sample --matcher linear --caption-features none --out run
    truepair index demo/sample --run run --split test --out index; truepair serve index &
    python3 scripts/check_page.py http://127.0.0.1:8000 --words "a smiling cat"

Needs Chromium or Chrome, in PATH or as CHROME, and nothing
but Python's own library: the browser is driven over its pipe. Without a browser the script says so and ends with 3.
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome", "chrome-headless-shell"]
WIDE, PHONE = (1280, 860), (390, 844)


class Browser:
    """One page of a headless browser, over the pipe of the DevTools protocol."""

    def __init__(self, program, profile):
        to_browser, self.out = os.pipe()
        self.inn, from_browser = os.pipe()
        # The browser reads at 3 and writes at 4.
        low, high = os.dup(to_browser), os.dup(from_browser)
        arguments = [program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-sandbox",
                     "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "about:blank"]

        def place():
            a, b = os.dup(low), os.dup(high)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(arguments, preexec_fn=place, pass_fds=(3, 4, low, high),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in (to_browser, from_browser, low, high):
            os.close(end)
        self.n, self.rest, self.session, self.events = 0, b"", None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def read(self):
        while b"\0" not in self.rest:
            data = os.read(self.inn, 1 << 16)
            if not data:
                raise SystemExit("the browser ended")
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.n += 1
        message = {"id": self.n, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.n:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def js(self, code):
        """The value of an expression in the page; a promise is awaited."""
        result = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{code}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, code, what, seconds=8):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.js(f"Boolean({code})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"{what}: not within {seconds} s: {code}")

    def go(self, address):
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'", f"load {address}")

    def size(self, size, dark=False):
        width, height = size
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def type(self, text):
        for letter in text:
            self.call("Input.dispatchKeyEvent", type="keyDown", text=letter, key=letter)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=letter)

    def key(self, name, code=0):
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Backspace": 8}
        number = code or codes.get(name, 0)
        extra = {"text": "\r"} if name == "Enter" else {"text": name} if len(name) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=number, **extra)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=number)

    def shot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait(10)


class Check:
    """The flows; each begins at an address of its own."""

    def __init__(self, browser, address, token, shots):
        self.browser, self.address, self.token, self.shots = browser, address.rstrip("/"), token, shots

    def open(self, path="/", size=WIDE, dark=False):
        self.browser.size(size, dark)
        self.browser.go("about:blank")
        self.browser.go(self.address + path)
        if self.token and not self.browser.js("sessionStorage.getItem('truepair-token')"):
            self.browser.wait("document.getElementById('token-dialog').open", "the page asks for the token")
            self.picture("token", size, dark)
            self.browser.js(f"document.getElementById('token').value = {json.dumps(self.token)}")
            self.browser.js("document.getElementById('token-form').requestSubmit()")
        self.browser.wait("document.getElementById('version').textContent !== ''", "the page knows the index")

    def picture(self, name, size=WIDE, dark=False):
        if self.shots:
            # Pictures in sight are waited for, so that the screenshot shows them.
            self.browser.wait("[...document.images].every(i => i.hidden || i.complete || i.getBoundingClientRect().top > innerHeight)",
                              "pictures load")
            time.sleep(0.35)
            self.browser.shot(self.shots / f"{name}-{size[0]}{'-dark' if dark else ''}.png")

    def ask(self, text):
        self.browser.js("document.getElementById('text').focus(); document.getElementById('text').select()")
        self.browser.key("Backspace")
        self.browser.type(text)

    def hits(self, test, what):
        """Waits until there are hits and `test` holds of the list of their texts."""
        texts = "[...document.querySelectorAll('#gallery .caption')].map(e => e.textContent)"
        done = "document.getElementById('gallery').getAttribute('aria-busy') === 'false'"
        self.browser.wait(f"{done} && (t => t.length > 0 && ({test}))({texts})", what)

    def state(self, name):
        self.browser.wait(f"!document.getElementById('state-{name}').hidden", f"the state {name}")

    def expect(self, code, what):
        if not self.browser.js(code):
            raise AssertionError(f"{what}: {code}")

    # Flows.

    def start(self):
        self.open()
        self.state("start")
        self.expect("document.activeElement.id === 'text'", "the field has the focus")
        self.picture("start")

    def hits_as_you_type(self):
        self.open()
        self.ask("red circle")
        self.hits("t[0].startsWith('A red circle')", "hits while typing")
        self.expect("location.search === '?q=red+circle'", "the address says what is asked")
        self.expect("document.querySelector('#gallery .meter > span').style.width !== ''", "a bar shows the probability")
        self.expect("document.querySelector('#gallery .why').textContent.includes('circle')", "a hit says why")
        self.picture("hits")

    def late_answers_are_dropped(self):
        self.open()
        self.browser.js("""window.real = fetch; let n = 0; window.fetch = (path, options) => {
            const slow = path === '/v1/search' && n++ === 0;
            const answer = real(path, slow ? { ...options, signal: undefined } : options);
            return slow ? answer.then(a => new Promise(done => setTimeout(() => done(a), 900))) : answer; }; 1""")
        self.ask("red star")
        time.sleep(0.4)
        self.ask("blue star")
        self.hits("t[0].startsWith('A blue star')", "the newer answer")
        time.sleep(1.1)
        self.hits("t[0].startsWith('A blue star')", "the older answer stays away")

    def nothing_matches(self):
        self.open("/?q=zeppelin")
        self.state("nothing")
        self.expect("document.querySelectorAll('.card').length === 0", "no hits beside it")
        self.picture("nothing")
        self.browser.js("document.getElementById('nothing-show').click()")
        self.hits("true", "the nearest are shown when asked for")

    def filters(self):
        self.open("/?q=star")
        self.hits("true", "hits")
        self.browser.js("document.getElementById('filter').focus()")
        self.browser.type('color = "blue"')
        self.hits("t.every(x => x.includes('blue'))", "only what the filter leaves")
        self.picture("filter")
        self.browser.js("document.getElementById('filter').select()")
        self.browser.type("size > 3")
        self.browser.wait("!document.getElementById('filter-problem').hidden", "a bad filter is told")
        self.expect("document.getElementById('filter').getAttribute('aria-invalid') === 'true'", "the field is marked")
        self.picture("bad-filter")
        self.browser.js("document.getElementById('filter').select()")
        self.browser.type("width > 9000")
        self.state("empty")
        self.picture("empty")
        self.browser.js("document.getElementById('empty-clear').click()")
        self.hits("true", "without the filter there are hits")
        self.browser.js("[...document.querySelectorAll('#columns button')][1].click()")
        self.expect("document.getElementById('filter').value === 'source = \"web\"'", "a column fills in an example")

    def coverage(self):
        self.open("/?q=red+ring")
        self.hits("true", "hits")
        self.browser.js("document.getElementById('coverage').value = 5; document.getElementById('coverage').dispatchEvent(new Event('input'))")
        self.browser.wait("document.querySelector('.divider')", "the end of the answer set")
        self.expect("location.search.includes('coverage=0.9')", "the address has the coverage")
        self.expect("document.querySelector('.card:last-child').classList.contains('beyond')", "the rest is set apart")
        self.picture("coverage")

    def more_like_this_and_back(self):
        self.open("/?q=purple+moon")
        self.hits("t[0].startsWith('A purple moon')", "hits")
        self.browser.js("document.querySelectorAll('.under button')[1].click()")
        self.browser.wait("!document.getElementById('chip').hidden", "the item stands in the field")
        self.expect("location.search.startsWith('?like=scene-')", "the address has the item")
        self.hits("true", "hits")
        self.picture("like")
        self.browser.js("history.back()")
        self.browser.wait("document.getElementById('text').value === 'purple moon'", "Back asks as before")
        self.hits("t[0].startsWith('A purple moon')", "Back shows the hits before")

    def keys(self):
        self.open("/?q=tree")
        self.hits("true", "hits")
        self.browser.js("document.activeElement.blur()")
        self.browser.key("/")
        self.expect("document.activeElement.id === 'text'", "/ goes to the field")
        self.expect("document.getElementById('text').value === 'tree'", "/ is not typed")
        self.browser.key("ArrowDown")
        self.expect("document.activeElement.classList.contains('open')", "down goes to the hits")
        self.browser.key("ArrowRight")
        self.browser.key("ArrowDown")
        self.browser.key("ArrowUp")
        self.expect("[...document.querySelectorAll('.open')].indexOf(document.activeElement) === 1", "arrows move")
        self.browser.key("Enter")
        self.browser.wait("document.getElementById('detail').open", "Enter opens")
        self.expect("document.getElementById('detail-place').textContent.startsWith('Hit 2 ')", "the hit that had the focus")
        self.picture("detail")
        self.browser.key("ArrowRight")
        self.expect("document.getElementById('detail-place').textContent.startsWith('Hit 3 ')", "right shows the next")
        self.browser.key("Escape")
        self.browser.wait("!document.getElementById('detail').open", "Escape closes")
        self.browser.wait("[...document.querySelectorAll('.open')].indexOf(document.activeElement) === 2", "the focus is at the hit shown last")
        self.browser.key("Escape")
        self.expect("document.activeElement.id === 'text'", "Escape goes back to the field")
        self.browser.key("Escape")
        self.state("start")

    def a_hit_has_an_address(self):
        self.open("/?q=green+cross")
        self.hits("true", "hits")
        self.browser.js("document.querySelectorAll('.open')[1].click()")
        self.browser.wait("document.getElementById('detail').open", "the hit is open")
        self.expect("location.search.includes('show=scene-')", "the address names it")
        self.browser.js("document.getElementById('detail-next').click()")
        self.browser.js("history.back()")
        self.browser.wait("!document.getElementById('detail').open", "Back closes it")
        self.expect("location.search === '?q=green+cross'", "the address is that of the hits")
        self.browser.js("history.forward()")
        self.browser.wait("document.getElementById('detail').open", "Forward opens it")
        self.expect("document.getElementById('detail-place').textContent.startsWith('Hit 3 ')", "the hit shown last")
        address = self.browser.js("location.pathname + location.search")
        self.open(address)
        self.browser.wait("document.getElementById('detail').open", "a link to a hit opens it")
        self.browser.key("Escape")
        self.browser.wait("location.search === '?q=green+cross'", "closed, the address is that of the hits")
        self.browser.js("document.querySelector('.open').click()")
        self.browser.js("document.getElementById('detail-like').click()")
        self.browser.wait("location.search.startsWith('?like=') && document.activeElement.id === 'text'", "more like it")
        self.hits("true", "hits like it")
        self.expect("!document.getElementById('detail').open", "nothing is open")

    def a_picture_dropped(self):
        self.open()
        token = json.dumps({"authorization": f"Bearer {self.token}"} if self.token else {})
        self.browser.js(f"""fetch('/v1/items/scene-0042/image', {{headers: {token}}}).then(r => r.blob()).then(blob => {{
            const files = new DataTransfer();
            files.items.add(new File([blob], 'found.png', {{type: 'image/png'}}));
            document.body.dispatchEvent(new DragEvent('drop', {{dataTransfer: files, bubbles: true, cancelable: true}}));
        }})""")
        self.hits("true", "hits of a picture")
        self.expect("document.querySelector('.card .id').textContent === 'scene-0042'", "the picture's own item is first")
        self.expect("!document.getElementById('chip').hidden", "the picture stands in the field")
        self.browser.js("""{ const files = new DataTransfer(); files.items.add(new File(['x'], 'a.txt', {type: 'text/plain'}));
            document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: files, bubbles: true, cancelable: true})); }""")
        self.state("error")

    def captions_stay_text(self):
        self.open("/?q=hostile")
        self.hits("t[0].startsWith('<script>')", "the caption is shown as it is")
        self.browser.js("document.querySelector('.open').click()")
        self.browser.wait("document.getElementById('detail-text').textContent.startsWith('<script>')", "also in the large view")
        time.sleep(0.3)
        self.expect("document.title !== 'broken'", "nothing in a caption runs")
        self.expect("!document.querySelector('#gallery script, #detail script, img[src=x], #detail i, #gallery b b')", "no markup comes of data")

    def links_and_errors(self):
        self.open("/?q=star&of=captions&coverage=0.8&where=outdoors+%3D+true")
        self.hits("true", "hits of a link")
        self.expect("document.querySelector('input[name=of]:checked').value === 'captions'", "the side")
        self.expect("document.getElementById('coverage').value === '4'", "the coverage")
        self.expect("document.getElementById('filter').value === 'outdoors = true'", "the filter")
        self.picture("captions")
        self.open("/?like=missing")
        self.state("error")
        self.picture("error")

    def phone(self):
        for dark in (False, True):
            self.open("/?q=red+tree", PHONE, dark)
            self.hits("true", "hits")
            self.expect("document.documentElement.scrollWidth <= 390", "nothing is wider than a phone")
            self.picture("hits", PHONE, dark)
        self.open("/?q=pink+moon&coverage=0.9", PHONE)
        self.hits("true", "hits")
        self.browser.js("document.querySelector('.open').click()")
        self.picture("detail", PHONE)
        self.open("/", PHONE)
        self.picture("start", PHONE)
        self.open("/?q=zeppelin", PHONE, True)
        self.state("nothing")
        self.picture("nothing", PHONE, True)

    def dark(self):
        self.open("/?q=blue+moon&coverage=0.9", WIDE, True)
        self.hits("true", "hits")
        self.picture("hits", WIDE, True)
        self.browser.js("document.querySelector('.open').click()")
        self.picture("detail", WIDE, True)
        self.browser.js("document.getElementById('detail').close(); document.getElementById('theme').click()")
        self.expect("document.documentElement.dataset.theme === 'light'", "the button changes the theme")
        self.open("/?q=blue+moon", WIDE, True)
        self.expect("document.documentElement.dataset.theme === 'light'", "the theme is remembered")
        self.browser.js("localStorage.clear()")

    def everything_has_a_name(self):
        self.open("/?q=red+tree&coverage=0.9")
        self.hits("true", "hits")
        nameless = self.browser.js("""[...document.querySelectorAll('button, input, a, img')].filter(e => {
            if (e.tagName === 'IMG') return !e.hasAttribute('alt');
            const label = e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim();
            return !label && !e.closest('[hidden]'); }).map(e => e.outerHTML.slice(0, 90))""")
        if nameless:
            raise AssertionError(f"without a name: {nameless}")
        self.expect("document.getElementById('status').getAttribute('aria-live') === 'polite'", "the count is told")

    def docs(self):
        self.browser.size(WIDE)
        self.browser.go(self.address + "/docs")
        self.browser.wait("document.querySelectorAll('#groups details').length >= 12", "every route is described")
        self.browser.js("document.querySelector('#groups details').open = true")
        self.picture("docs")
        self.browser.size(PHONE)
        self.expect("document.documentElement.scrollWidth <= 390", "the description fits a phone")

    FLOWS = [start, hits_as_you_type, late_answers_are_dropped, nothing_matches, filters, coverage, more_like_this_and_back,
             keys, a_hit_has_an_address, a_picture_dropped, captions_stay_text, links_and_errors, phone, dark, everything_has_a_name, docs]


class IndexCheck(Check):
    """Flows for an index that `truepair index` made of pictures with captions by a matcher of words."""

    def __init__(self, browser, address, token, shots, words):
        super().__init__(browser, address, token, shots)
        self.words = words
        self.query = "/?" + urllib.parse.urlencode({"q": words})

    def typed(self):
        self.open()
        self.state("start")
        self.ask(self.words)
        self.hits("t.length >= 10 && t.every(x => x.length > 0)", "hits with captions")
        self.expect("[...document.querySelectorAll('#gallery .meter > span')].every(e => e.style.width.endsWith('%'))",
                    "every hit has its probability as a bar")
        if self.browser.js("fetch('/v1/describe').then(answer => answer.json()).then(index => index.pictures)"):
            self.browser.wait("(i => i.length > 0 && i.every(i => i.naturalWidth > 0))([...document.querySelectorAll('#gallery img')].slice(0, 6))",
                              "the first pictures are there")
        self.picture("index-hits")

    def answer_set(self):
        self.open(self.query)
        self.hits("true", "hits")
        self.browser.js("document.getElementById('coverage').value = 1; document.getElementById('coverage').dispatchEvent(new Event('input'))")
        self.browser.wait("location.search.includes('coverage=')", "the address has the coverage")
        self.browser.wait("document.querySelector('.divider') || document.querySelector('.card.beyond') || !document.getElementById('state-error').hidden",
                          "an answer set, or why there is none")
        self.picture("index-coverage")

    def why_and_like(self):
        self.open(self.query)
        self.hits("true", "hits")
        self.browser.js("document.querySelector('.open').click()")
        self.browser.wait("document.getElementById('detail').open", "the hit is open")
        self.expect("document.getElementById('detail').textContent.length > 40", "it says why")
        self.picture("index-detail")
        self.browser.js("document.getElementById('detail-like').click()")
        self.browser.wait("location.search.startsWith('?like=')", "more like it")
        self.hits("true", "hits like it")
        self.browser.js("history.back()")
        self.browser.wait(f"document.getElementById('text').value === {json.dumps(self.words)}", "Back asks as before")

    def nothing(self):
        self.open("/?q=qwxzv+zzyxq")
        self.state("nothing")
        self.picture("index-nothing")

    def small(self):
        self.open(self.query, PHONE, True)
        self.hits("true", "hits")
        self.expect("document.documentElement.scrollWidth <= 390", "nothing is wider than a phone")
        self.picture("index-hits", PHONE, True)

    FLOWS = [typed, answer_set, why_and_like, nothing, small]


def complaints(browser, address):
    """What the browser itself complains of, and requests to anywhere else. Answers of 4xx are what flows ask for."""
    found = []
    for event in browser.events:
        method, told = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            found.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            if not told["entry"]["text"].startswith("Failed to load resource: the server responded with a status of 4"):
                found.append(told["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = told["request"]["url"]
            if not url.startswith((address, "about:", "blob:", "data:")):
                found.append(f"a request to {url}")
    browser.events.clear()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--token")
    parser.add_argument("--shots", type=Path, help="folder for screenshots")
    parser.add_argument("--words", help="what finds something in an index of your own")
    parser.add_argument("--only", help="one flow by its name")
    given = parser.parse_args()
    program = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        print("NOT CHECKED: no Chromium or Chrome is at hand; install one, or name it in CHROME", file=sys.stderr)
        return 3
    if given.shots:
        given.shots.mkdir(parents=True, exist_ok=True)
    failures = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        place = (browser, given.address, given.token, given.shots)
        check = IndexCheck(*place, given.words) if given.words else Check(*place)
        for flow in check.FLOWS:
            if given.only and flow.__name__ != given.only:
                continue
            try:
                flow(check)
                problem = "; ".join(complaints(browser, given.address))
            except (AssertionError, RuntimeError) as error:
                problem = str(error)
            failures += bool(problem)
            print(f"{'FAILED' if problem else 'ok':7}{flow.__name__}{': ' + problem if problem else ''}", flush=True)
        browser.close()
    print("the page is as it should be" if not failures else f"{failures} flows failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
