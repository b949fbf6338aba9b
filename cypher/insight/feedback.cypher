// title: How the arms of an experiment did
// description: For each model version and arm to which events were attributed: how often products were shown, clicked
//   and afterwards bought by the same user, with the 95 % confidence interval of the click rate (Wilson's, which is
//   right for small counts too). Events are what kg ingest events recorded as exposed and clicked with model and arm.
//   The products are those of one category, its sub-categories included.
// param category: STRING -- path of a category
// param limit: INTEGER = 50 -- most rows to return
// example: {"category": "Instruments"}
// returns: model STRING, arm STRING, exposures INTEGER, clicks INTEGER, purchases INTEGER, click_rate FLOAT, low FLOAT,
//   high FLOAT

CYPHER 25
MATCH (c:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
WITH DISTINCT p
MATCH (u:User)-[shown:EXPOSED]->(p)
OPTIONAL MATCH (u)-[click:CLICKED {model: shown.model, arm: shown.arm}]->(p)
OPTIONAL MATCH (u)-[bought:BOUGHT]->(p)
WHERE bought.at >= shown.first_at
WITH shown.model AS model, shown.arm AS arm, sum(shown.count) AS exposures, sum(coalesce(click.count, 0)) AS clicks,
     count(bought) AS purchases
// More clicks than exposures means that exposures were not recorded: a rate would be a lie.
LET n = 1.0 * exposures, rate = CASE WHEN clicks <= exposures THEN 1.0 * clicks / exposures END
// The square of the normal distribution's 97.5 % point.
LET z2 = 3.841459
LET middle = (rate + z2 / (2.0 * n)) / (1.0 + z2 / n),
    half = sqrt(z2 * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n))) / (1.0 + z2 / n)
RETURN model, arm, exposures, clicks, purchases, rate AS click_rate, middle - half AS low, middle + half AS high
ORDER BY exposures DESC, model, arm
LIMIT $limit
