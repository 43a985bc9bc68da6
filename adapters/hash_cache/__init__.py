"""The hash cache: events found again by hashes of their n-grams, without vectors."""

from adapters.hash_cache.bounds import Bounds as Bounds
from adapters.hash_cache.memory import HashCache as HashCache
