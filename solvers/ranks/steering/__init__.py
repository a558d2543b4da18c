"""The price of a placement of hosts, kept up to date move by move, and the search that it steers."""
