"""HTTP: every route, on the engine's feed and the table's rows (aiohttp's server is imported only here)."""
