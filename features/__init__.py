"""Pure DataFrame transforms and the tables' schemas: no session, no path, no write."""
