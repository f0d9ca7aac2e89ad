"""Simpul: locks, queues and caches as atomic Lua in Redis, behind a thin Starlette tier."""

__version__ = "0.1.0"
