"""MLflow's tracking store on Postgres, whose most frequent calls are single statements.

MLflow's own store asks for one row after another through an object mapper, which is most of what a
request costs. The statements here do the same to the same tables. They only ever answer a success
of which the tests have shown that it equals MLflow's; for everything else (a refusal, a deleted
run, a metric of a logged model, an error of the database) they write nothing and MLflow's own code
is asked, so each error is MLflow's.
"""
