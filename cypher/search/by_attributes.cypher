// title: Products by their attributes
// description: Products that have all of the given attribute values, whoever asserts them, narrowed by category (with
//   its sub-categories), brand and price; the most popular first. Values are written as in AttributeValue.key:
//   'material=leather'. Something must be given: of the whole catalogue nothing is shown.
// param attributes: LIST<STRING> = [] -- keys of attribute values, all of which must hold
// param category: STRING = null -- path of a category
// param brand: STRING = null -- key of a brand
// param min_price: FLOAT = null -- cheapest price
// param max_price: FLOAT = null -- dearest price
// param limit: INTEGER = 20 -- most rows to return
// example: {"attributes": ["material=leather"]}
// returns: sku STRING, title STRING, price FLOAT, currency STRING, popularity FLOAT

CYPHER 25
CALL () {
  WHEN size($attributes) > 0 THEN {
    MATCH (v:AttributeValue {key: $attributes[0]})<-[:HAS_ATTRIBUTE]-(p:Product)
    RETURN DISTINCT p
  }
  WHEN $brand IS NOT NULL THEN {
    MATCH (b:Brand {key: $brand})<-[:MADE_BY]-(p:Product)
    RETURN DISTINCT p
  }
  WHEN $category IS NOT NULL THEN {
    MATCH (c:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
    RETURN DISTINCT p
  }
  WHEN $min_price IS NOT NULL OR $max_price IS NOT NULL THEN {
    MATCH (p:Product)
    WHERE coalesce($min_price, -INFINITY) <= p.price <= coalesce($max_price, INFINITY)
    RETURN p
  }
}
FILTER p.active
FILTER all(key IN $attributes WHERE EXISTS { (p)-[:HAS_ATTRIBUTE]->(:AttributeValue {key: key}) })
FILTER $brand IS NULL OR EXISTS { (p)-[:MADE_BY]->(:Brand {key: $brand}) }
FILTER $category IS NULL OR EXISTS {
  (p)-[:IN_CATEGORY]->(:Category)-[:SUBCATEGORY_OF]->{0,10}(:Category {path: $category})
}
FILTER $min_price IS NULL OR p.price >= $min_price
FILTER $max_price IS NULL OR p.price <= $max_price
RETURN p.sku AS sku, p.title AS title, p.price AS price, p.currency AS currency, p.popularity AS popularity
ORDER BY coalesce(popularity, 0.0) DESC, sku
LIMIT $limit
