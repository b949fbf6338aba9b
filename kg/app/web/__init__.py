"""The web page for people: what the catalogue answers, as pages that a server renders and any browser shows.

``pages`` has a function a page, from the URL to a template and its values;
``door`` lets people in where the server has API keys; ``words``, ``charts`` and
``drawing`` are pure and make of rows what a template shows; ``script`` finds
htmx among the jars. There is no build step. Without JavaScript every link and form
works, and with it a form changes the part of the page that it is about.

Nothing here has Cypher of its own: a page shows what ``cypher/`` answers, so
whatever stands on it can be asked for by any driver, ``kg query`` and the API.
"""
