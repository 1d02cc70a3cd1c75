"""Drives a Chromium by its DevTools: `devtools.py PORT COMMAND …`. Prints what came of it as JSON.

  goto URL TEXT            opens a page, until one that shows this text
  submit TEXT NAME=VALUE…  fills in the page's form and sends it off, until a page that shows this text
  run SCRIPT               what a script on the page comes to; promises are waited for
  cookies                  all of the browser's cookies
"""

import asyncio
import json
import sys
import time
import urllib.request

from websockets.asyncio.client import connect

PATIENCE = 20
SHOWN = "JSON.stringify([location.href, document.readyState, document.body ? document.body.innerText : ''])"


class Page:
    def __init__(self, socket):
        self.socket, self.last = socket, 0

    async def call(self, method, **parameters):
        self.last += 1
        await self.socket.send(json.dumps(dict(id=self.last, method=method, params=parameters)))
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = json.loads(await self.socket.recv())
                if answer.get("id") == self.last:
                    return answer

    async def run(self, script):
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return answer.get("result", {}).get("result", {}).get("value")

    async def shows(self, text):
        """Where the browser is and what it shows, as soon as that has this text."""
        end, shown = time.monotonic() + PATIENCE, None
        while time.monotonic() < end:
            # Between two pages there may be nothing to ask.
            shown = await self.run(SHOWN)
            if shown:
                place, state, body = json.loads(shown)
                if state == "complete" and text in body:
                    return dict(url=place, text=body)
            await asyncio.sleep(0.02)
        raise AssertionError(f"{text!r} is not shown, but {shown}")


def first_page(port):
    """The debugger's address of the one page that there is, which may take a moment after the start."""
    end = time.monotonic() + PATIENCE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        targets = json.load(opener.open(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE))
        pages = [target for target in targets if target["type"] == "page"]
        if pages:
            return pages[0]["webSocketDebuggerUrl"]
        assert time.monotonic() < end, targets


async def main(port, command, *arguments):
    async with connect(first_page(port), max_size=None, proxy=None) as socket:
        page = Page(socket)
        if command == "goto":
            url, text = arguments
            answer = await page.call("Page.navigate", url=url)
            assert "error" not in answer and "errorText" not in answer["result"], answer
            result = await page.shows(text)
        elif command == "submit":
            text, *values = arguments
            for value in values:
                name, value = value.split("=", 1)
                await page.run(f"document.forms[0].elements[{json.dumps(name)}].value = {json.dumps(value)}")
            await page.run("document.forms[0].submit()")
            result = await page.shows(text)
        elif command == "run":
            result = await page.run(arguments[0])
        else:
            result = (await page.call("Storage.getCookies"))["result"]["cookies"]
    print(json.dumps(result))


asyncio.run(main(*sys.argv[1:]))
