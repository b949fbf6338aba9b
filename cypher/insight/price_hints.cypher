// title: What the price does to the demand for a product
// description: The elasticity that the shop's own price changes show: by how many per cent purchases change when the
//   price changes by one. Each period between two changes compares the purchases of the product with those of the rest
//   of its shelf, so that a season or a growing shop does not pass for an effect of the price; the fit is a logistic
//   regression on the logarithm of the price (log odds = a + elasticity × log price), with a weak normal prior of
//   deviation 5 on the elasticity, that a period without purchases does not send it to infinity. Low and high are its
//   95 % interval. A hint is given only where the interval lies on one side of −1; with one price, or fewer than $least
//   purchases of the product or of the rest of the shelf, there is not enough data. Prices come from kg ingest
//   products, which notes when one changes, and begins anew when the currency does. It says what happened, not why: a
//   sale that was advertised is more than its price.
// param sku: STRING -- the product's sku
// param least: INTEGER = 20 -- fewest purchases, of the product and of the rest of the shelf each
// example: {"sku": "G1"}
// returns: sku STRING, title STRING, price FLOAT, currency STRING, prices LIST<MAP>, purchases INTEGER, elasticity
//   FLOAT, low FLOAT, high FLOAT, hint STRING

CYPHER 25
MATCH (this:Product {sku: $sku})
LET changes = coalesce(this.prices, []), times = coalesce(this.price_times, [])
CALL (this) {
  OPTIONAL MATCH (this)<-[did:BOUGHT]-(:User)
  UNWIND coalesce(did.times, []) AS at
  WITH at
  FILTER at >= 0
  RETURN collect(at) AS own
}
CALL (this, changes) {
  WHEN size(changes) > 1 THEN {
    MATCH (this)-[:IN_CATEGORY]->(:Category)<-[:IN_CATEGORY]-(p:Product)
    WHERE p <> this
    WITH DISTINCT p
    ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
    LIMIT 2000
    MATCH (p)<-[did:BOUGHT]-(:User)
    UNWIND did.times AS at
    WITH at
    FILTER at >= 0
    RETURN collect(at) AS rest
  }
  ELSE {
    RETURN [] AS rest
  }
}
// The first price of all counts from 0, the beginning: when the shop began to ask it is not known.
CALL (changes, times, own, rest) {
  UNWIND range(0, size(changes) - 1) AS place
  LET since = times[place],
      till = CASE WHEN place + 1 < size(times) THEN times[place + 1] END
  LET mine = size([at IN own WHERE at >= since AND (till IS NULL OR at < till)]),
      others = size([at IN rest WHERE at >= since AND (till IS NULL OR at < till)])
  WITH place, changes[place] AS price, since, mine, others
  ORDER BY place
  RETURN collect({price: price, since: since, purchases: mine, rest: others}) AS periods
}
LET used = [x IN periods WHERE x.price > 0.0 AND x.purchases + x.rest > 0]
LET n = reduce(s = 0, x IN used | s + x.purchases), m = reduce(s = 0, x IN used | s + x.rest)
LET spread = reduce(s = {low: null, high: null}, x IN used | {
  low: CASE WHEN s.low IS NULL OR x.price < s.low THEN x.price ELSE s.low END,
  high: CASE WHEN s.high IS NULL OR x.price > s.high THEN x.price ELSE s.high END
})
LET known = spread.high > spread.low AND n >= $least AND m >= $least AND n > 0 AND m > 0
CALL (known, used, n, m) {
  WHEN known THEN {
    // Prices relative to their mean logarithm, so that intercept and slope hardly depend on each other.
    LET centre = reduce(s = 0.0, x IN used | s + (x.purchases + x.rest) * log(x.price)) / (n + m)
    LET fit = reduce(s = {a: log(1.0 * n / m), b: 0.0, var: null}, _ IN range(1, 25) |
      reduce(
        step = {},
        sums IN [
          reduce(t = {ga: 0.0, gb: -s.b / 25.0, haa: 0.0, hab: 0.0, hbb: 1.0 / 25.0}, x IN used |
            reduce(
              u = t,
              y IN [{
                x: log(x.price) - centre, n: 1.0 * (x.purchases + x.rest), k: x.purchases,
                p: 1.0 / (1.0 + exp(-(s.a + s.b * (log(x.price) - centre))))
              }] |
              {
                ga: t.ga + y.k - y.n * y.p,
                gb: t.gb + (y.k - y.n * y.p) * y.x,
                haa: t.haa + y.n * y.p * (1.0 - y.p),
                hab: t.hab + y.n * y.p * (1.0 - y.p) * y.x,
                hbb: t.hbb + y.n * y.p * (1.0 - y.p) * y.x ^ 2
              }
            )
          )
        ] |
        // Newton's step: the inverse of a 2 × 2 matrix times the gradient.
        {
          a: s.a + (sums.hbb * sums.ga - sums.hab * sums.gb) / (sums.haa * sums.hbb - sums.hab ^ 2),
          b: s.b + (sums.haa * sums.gb - sums.hab * sums.ga) / (sums.haa * sums.hbb - sums.hab ^ 2),
          var: sums.haa / (sums.haa * sums.hbb - sums.hab ^ 2)
        }
      )
    )
    RETURN fit.b AS elasticity, 1.959964 * sqrt(fit.var) AS half
  }
  ELSE {
    RETURN null AS elasticity, null AS half
  }
}
RETURN this.sku AS sku, this.title AS title, this.price AS price, this.currency AS currency,
       [x IN periods | {
         price: x.price, purchases: x.purchases, rest: x.rest,
         since: CASE WHEN x.since > 0 THEN toString(datetime({epochSeconds: x.since})) END
       }] AS prices, size(own) AS purchases, elasticity, elasticity - half AS low, elasticity + half AS high,
       CASE
         WHEN size(changes) < 2 THEN 'not enough data: the price has not changed'
         WHEN NOT coalesce(spread.high > spread.low, false) THEN
           'not enough data: purchases are known at one price only'
         WHEN n < $least THEN 'not enough data: ' + n + ' purchases'
         WHEN m < $least THEN 'not enough data: ' + m + ' purchases of the rest of the shelf'
         WHEN elasticity + half < -1.0 THEN 'sales moved as if a lower price brought more revenue'
         WHEN elasticity - half > -1.0 THEN 'sales moved as if a higher price brought more revenue'
         ELSE 'the events do not tell'
       END AS hint
