"""The report of a rollout: a page and a summary for people, made of its record and of nothing else.

    RolloutRecord ──► told.py: what is said ──► page.html.jinja  ──► <record>.html, with the plots of plots.py
                                          └──► summary.md.jinja ──► <record>.md

The record's texts come from models, scripts and clients: both templates escape each text that they are given.
"""
