// title: How opinion of a product, a brand or a shelf changes
// description: What reviews of each period praise and criticise, aspect by aspect, and the mean rating of the period
//   (in the rows without an aspect). A text counts at the time of its review, once for each aspect and side. The
//   share of praise has its 95 % interval (Wilson's, which is right for small counts too). Change is the share of
//   the period less that of all periods before, where both are known. One of product, brand and category is given;
//   of a shelf, its sub-categories included, at most 5,000 products are read, the most popular first.
// param sku: STRING = null -- a product's sku
// param brand: STRING = null -- a brand's key
// param category: STRING = null -- path of a category
// param aspect: STRING = null -- key of the one aspect to show; null for all
// param every: STRING in week|month|quarter|year = 'month' -- length of a period
// param limit: INTEGER = 1000 -- most rows to return
// either: sku, brand, category
// example: {"brand": "birch"}
// returns: period STRING, aspect STRING, praised INTEGER, criticised INTEGER, share FLOAT, low FLOAT, high FLOAT,
//   change FLOAT, rating FLOAT, reviews INTEGER

CYPHER 25
CALL () {
  MATCH (p:Product {sku: $sku})
  RETURN p
UNION
  MATCH (:Brand {key: $brand})<-[:MADE_BY]-(p:Product)
  RETURN p
UNION
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
  RETURN p
}
WITH DISTINCT p
ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
LIMIT 5000
WITH collect(p) AS products
CALL (products) {
  UNWIND products AS p
  MATCH (p)-[f:PRAISED_FOR|CRITICISED_FOR]->(a:Aspect)
  WHERE $aspect IS NULL OR a.key = $aspect
  MATCH (:Evidence {fact: f.fact})-[:FROM]->(:Document)<-[:HAS_TEXT]-(r:Review)
  WHERE r.at IS NOT NULL
  WITH DISTINCT a.name AS aspect, type(f) AS side, r
  RETURN date.truncate($every, date(r.at)) AS period, aspect, side, null AS rating
UNION ALL
  UNWIND products AS p
  MATCH (p)<-[:ABOUT]-(r:Review)
  WHERE $aspect IS NULL AND r.at IS NOT NULL
  RETURN date.truncate($every, date(r.at)) AS period, null AS aspect, null AS side, r.rating AS rating
}
WITH period, aspect, count(CASE side WHEN 'PRAISED_FOR' THEN 1 END) AS praised,
     count(CASE side WHEN 'CRITICISED_FOR' THEN 1 END) AS criticised, avg(rating) AS rating,
     count(CASE WHEN side IS NULL THEN 1 END) AS reviews
ORDER BY period
WITH aspect,
     collect({period: period, praised: praised, criticised: criticised, rating: rating, reviews: reviews}) AS periods
UNWIND range(0, size(periods) - 1) AS place
LET one = periods[place]
LET n = 1.0 * (one.praised + one.criticised)
LET share = CASE WHEN n > 0.0 THEN one.praised / n END
LET good = reduce(s = 0, x IN periods[..place] | s + x.praised),
    bad = reduce(s = 0, x IN periods[..place] | s + x.criticised)
// The square of the normal distribution's 97.5 % point.
LET z2 = 3.841459
LET middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n),
    half = sqrt(z2 * (share * (1.0 - share) / n + z2 / (4.0 * n * n))) / (1.0 + z2 / n)
RETURN toString(one.period) AS period, aspect, one.praised AS praised, one.criticised AS criticised, share,
       middle - half AS low, middle + half AS high,
       CASE WHEN good + bad > 0 THEN share - 1.0 * good / (good + bad) END AS change, one.rating AS rating,
       one.reviews AS reviews
ORDER BY aspect IS NOT NULL, aspect, period
LIMIT $limit
