"""`make dashboard`: a page of this machine that shows a service live, and sends it requests.

    Envoy, Triton ──► samples.py ──► figures.py ──► watch.py, every 2 s ──┐
                                                                          ├─► server.py ──► a browser: pages/
    outputs, golden requests ──► asking.py ──► the front door ────────────┘

`server.py` listens on 127.0.0.1 alone. The key stays in this process.
"""
