"""Which products Ocelog reads logs of: the only list of them."""

from collections.abc import Mapping

from ocelog.product import Product
from ocelog.sources.wiz.product import WIZ

SOURCES: Mapping[str, Product] = {product.name: product for product in (WIZ,)}
